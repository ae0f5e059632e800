internal import DeviceKit
internal import Devices
internal import GuestMemory

/// Byte streams written to the flash chip, against a model of the data sheet: what reads give, what
/// the store was told, and that nothing outside the chip is touched.
final class FlashTarget: FuzzTarget {
  static let name = "flash"
  static let maximumInputByteCount = 512

  private static let blockByteCount = 4096
  private static let byteCount = 2 * blockByteCount

  /// Keeps what it is told, and fails while it is told to.
  private final class Store: FlashStore, @unchecked Sendable {
    // Sendable: one thread runs all inputs.
    let initialBytes = [UInt8](repeating: 0xA5, count: byteCount)
    var kept: [UInt8]
    var fails = false
    var hasUnflushed = false

    init() { kept = initialBytes }

    func write(_ bytes: [UInt8], at offset: Int) throws(FlashStoreError) {
      require(offset >= 0 && bytes.count <= kept.count - offset, "\(bytes.count) at \(offset)")
      if fails { throw .system(operation: "pwrite", path: "store", errno: 5) }
      kept.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
      hasUnflushed = true
    }

    func flush() { hasUnflushed = false }
  }

  /// The chip by its data sheet.
  private struct Model {
    var bytes = [UInt8](repeating: 0xA5, count: byteCount)
    /// The command that waits for its second byte.
    var pending: UInt8?
    /// The command that chose what reads give; 0xFF is the array.
    var mode: UInt8 = 0xFF
    var status: UInt8 = 0

    mutating func write(_ byte: UInt8, at offset: Int, fails: Bool) {
      if let command = pending {
        pending = nil
        mode = 0x70
        status |= 0x80
        switch (command, byte) {
        case (0x20, 0xD0) where fails: status |= 0x20
        case (0x20, 0xD0):
          let start = offset / blockByteCount * blockByteCount
          for index in start..<(start + blockByteCount) { bytes[index] = 0xFF }
        case (0x20, _): status |= 0x30
        case _ where fails: status |= 0x10
        default: bytes[offset] &= byte
        }
        return
      }
      switch byte {
      case 0x10, 0x40, 0x20:
        pending = byte
        mode = 0x70
      case 0x50: status = 0
      case 0x70, 0x90, 0x98: mode = byte
      default: mode = 0xFF
      }
    }
  }

  init() {}

  func run(_ input: FuzzInput) {
    let store = Store()
    guard let chip = try? FlashChip(store: store, onFailure: { _ in }) else { return }
    var model = Model()
    while !input.isEmpty {
      let action = input.byte
      switch action & 7 {
      case 0...4: write(chip, &model, store, input, isCommand: action & 8 == 0)
      case 5: check(chip, model, input)
      case 6: store.fails = action & 8 != 0
      default:
        if action & 8 != 0 {
          chip.reset { _ in }
          model.pending = nil
          model.mode = 0xFF
          model.status = 0
          require(!store.hasUnflushed, "a reset that saves nothing")
        } else {
          // Beyond the chip.
          chip.write(offset: UInt64(Self.byteCount) &+ input.uint64 >> 1, width: 8, value: .max)
          let beyond = chip.read(offset: UInt64(Self.byteCount), width: 8)
          require(beyond == .max, "\(beyond) beyond the chip")
        }
      }
    }
    require(store.kept == model.bytes, "the store has other bytes than the chip should")
    let now = chip.contents.read(at: 0, byteCount: Self.byteCount)
    require(now == model.bytes, "the chip has other bytes than it should")
  }

  private func write(
    _ chip: FlashChip, _ model: inout Model, _ store: Store, _ input: FuzzInput, isCommand: Bool
  ) {
    let commands: [UInt8] = [0x10, 0x20, 0x40, 0x50, 0x70, 0x90, 0x98, 0xD0, 0xFF]
    let offset = Int(input.uint16) % Self.byteCount
    let width = 1 << input.index(below: 4)
    var value: UInt64 = 0
    for index in 0..<width {
      let byte = isCommand ? input.pick(commands) : input.byte
      value |= UInt64(byte) << (8 * UInt64(index))
      if offset + index < Self.byteCount {
        model.write(byte, at: offset + index, fails: store.fails)
      }
    }
    chip.write(offset: UInt64(offset), width: width, value: value)
    require(
      model.mode != 0xFF || model.pending != nil || !store.hasUnflushed,
      "back in the array with changes that are not saved")
  }

  private func check(_ chip: FlashChip, _ model: Model, _ input: FuzzInput) {
    let offset = Int(input.uint16) % Self.byteCount
    let value = UInt8(truncatingIfNeeded: chip.read(offset: UInt64(offset), width: 1))
    switch model.mode {
    case 0xFF: require(value == model.bytes[offset], "the array reads \(value) at \(offset)")
    case 0x70: require(value == model.status, "status \(value) instead of \(model.status)")
    default: break
    }
  }
}
