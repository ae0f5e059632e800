import DeviceKit
import TestSupport
import Testing

/// Takes a device out of one machine and into another, and looks at what becomes of damaged state.
enum StateHarness {
  /// What a damaged state is driven with.
  static let seed: UInt64 = 0x57A7E

  static func save(_ device: any Device) throws -> [UInt8] {
    var transfer = StateTransfer()
    try device.transferState(&transfer)
    return transfer.bytes
  }

  static func restore(_ bytes: [UInt8], into device: any Device) throws {
    var transfer = StateTransfer(restoring: bytes)
    try device.transferState(&transfer)
    try transfer.finish()
  }

  /// Pauses a device, and has another go on in its place, over the same guest memory.
  ///
  /// - Parameters:
  ///   - registers: what reads give that change nothing.
  ///   - restored: looks at what restoring alone has done.
  /// - Returns: what was saved.
  @discardableResult
  static func move<D: Device>(
    _ old: D, to new: D, registers: (D) -> [UInt64], restored: () throws -> Void = {}
  ) throws -> [UInt8] {
    try old.pause()
    let bytes = try save(old)
    let before = registers(old)
    #expect(try save(old) == bytes, "saving, or a read, changes the state")
    try restore(bytes, into: new)
    #expect(try save(new) == bytes)
    #expect(registers(new) == before)
    try restored()
    old.stop()
    try new.start()
    new.resume()
    return bytes
  }

  /// Restores truncations, which are refused, and changed bytes, which are refused or can be lived
  /// with. Many lengths of what is a device's own; of the configuration registers before it, which
  /// are most of the bytes, some.
  ///
  /// - Parameters:
  ///   - make: a device as new, which need not have threads.
  ///   - drive: does what drivers do, and what none does.
  /// - Returns: how many of the changed states were accepted.
  @discardableResult
  static func damage<D: Device>(
    _ bytes: [UInt8], mutationCount: Int = 1000, make: () throws -> D,
    drive: (D, inout SeededGenerator) throws -> Void
  ) throws -> Int {
    let lengths = bytes.indices.filter {
      $0 >= bytes.count - 1024 && $0.isMultiple(of: 5) || $0.isMultiple(of: 61)
        || $0 == bytes.count - 1
    }
    for count in lengths {
      let device = try make()
      #expect(throws: StateError.truncated, "the first \(count) bytes") {
        try restore(Array(bytes[..<count]), into: device)
      }
    }
    let more = try make()
    #expect(throws: StateError.self) { try restore(bytes + [0], into: more) }
    var generator = SeededGenerator(seed: seed)
    var acceptedCount = 0
    for _ in 0..<mutationCount {
      let changed = mutated(bytes, &generator)
      let device = try make()
      do {
        try restore(changed, into: device)
      } catch is StateError {
        continue
      }
      acceptedCount += 1
      try drive(device, &generator)
      _ = try save(device)
    }
    return acceptedCount
  }

  /// One to four places changed: a bit, a byte, a number of any size, or the end of a range.
  private static func mutated(
    _ bytes: [UInt8], _ generator: inout SeededGenerator
  ) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...4, using: &generator) {
      let place = Int.random(in: bytes.indices, using: &generator)
      switch UInt8.random(in: 0...3, using: &generator) {
      case 0: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &generator)
      case 1: bytes[place] = .random(in: 0...255, using: &generator)
      case 2: bytes[place] = [0, 1, 2, 0x7F, 0x80, 0xFF].randomElement(using: &generator) ?? 0
      default:
        let value = generator.nextOfAnyMagnitude()
        for index in 0..<min(8, bytes.count - place) {
          bytes[place + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
        }
      }
    }
    return bytes
  }
}

extension PCIFunction {
  /// The guest lets it reach memory.
  func makeBusMaster() {
    configuration.write(offset: 4, width: 2, value: 6)
    configurationChanged()
  }
}
