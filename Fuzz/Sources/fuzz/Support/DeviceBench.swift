internal import GuestMemory

@testable internal import DeviceKit

/// What is around a PCI device under fuzzing: a small machine's memory, a wire that is watched, and
/// nobody who takes messages.
struct DeviceBench {
  static let ramByteCount: UInt64 = 1 << 20

  let memory: GuestMemory

  init() throws {
    memory = try GuestMemory(layout: GuestMemoryLayout(ramByteCount: Self.ramByteCount))
  }

  /// For one device: the wire is its own.
  var context: PCIContext {
    PCIContext(memory: memory, messages: NullMessageSink(), interruptLine: CheckedLine())
  }

  /// Guest memory as after power-on.
  func clear() {
    try? memory.fill(at: GPA(0), byteCount: Int(Self.ramByteCount), with: 0)
  }

  /// An address in RAM where the driver has something, at RAM's end, or anywhere.
  ///
  /// - Parameters:
  ///   - kindCount: how many kinds of places `place` knows; at most 7.
  ///   - place: of a kind, and a number below 32.
  static func address(
    _ input: FuzzInput, kindCount: UInt8 = 5, _ place: (_ kind: UInt8, _ number: UInt64) -> UInt64
  ) -> UInt64 {
    let choice = input.byte
    let offset = UInt64(input.byte)
    let kind = choice & 7
    if kind < kindCount { return place(kind, UInt64(choice >> 3)) + offset }
    if kind == kindCount { return ramByteCount - offset }
    return choice & 8 == 0 ? input.uint64 : 0 &- offset
  }
}

extension PCIFunction {
  /// Writes *Command*, and has the device follow.
  func setCommand(_ value: UInt64) {
    configuration.write(offset: PCIRegister.command, width: 2, value: value)
    endpoint.configurationChanged()
    configurationChanged()
  }
}

extension FuzzInput {
  /// Takes steps until the input ends, 256 at most, and serves what waits where the input says so,
  /// and at the end.
  func drive(_ step: (FuzzInput) -> Void, serve: () -> Void) {
    var stepCount = 0
    while !isEmpty, stepCount < 256 {
      step(self)
      stepCount += 1
      if bool { serve() }
    }
    serve()
  }
}
