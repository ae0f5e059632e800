internal import DeviceKit

/// The display's registers of 16 bits (*DISPI*), and the picture that they describe.
///
/// Source: QEMU, docs/specs/standard-vga; the Bochs emulator's *VBE DISPI* interface, version 5.
struct BochsRegisters: Sendable {
  /// Places of the registers, in their order.
  enum Index {
    static let identifier = 0
    static let width = 1
    static let height = 2
    static let depth = 3
    static let enable = 4
    static let virtualWidth = 6
    static let virtualHeight = 7
    static let xOffset = 8
    static let yOffset = 9
    static let memory = 10
    static let count = 11
  }

  private enum Enable {
    static let on: UInt16 = 0x01
    /// Reads of size and depth give the largest there are.
    static let capabilities: UInt16 = 0x02
    /// The picture is not cleared.
    static let keepsMemory: UInt16 = 0x80
  }

  /// Version 5.
  private static let identifier: UInt16 = 0xB0C5
  /// The only depth: blue, green, red and an unused byte.
  private static let depth: UInt16 = 32
  /// What a guest reads as the largest picture; whether one fits is a matter of the memory.
  private static let largest: (width: UInt16, height: UInt16) = (16_000, 12_000)

  private var values = [UInt16](repeating: 0, count: Index.count)
  private let memoryByteCount: Int

  /// Registers as after reset.
  init(memoryByteCount: Int) {
    self.memoryByteCount = memoryByteCount
  }

  /// What is shown: nil while the display is off, has another depth, or would show what is past the
  /// end of the memory.
  var mode: DisplayMode? {
    guard values[Index.enable] & Enable.on != 0, values[Index.depth] == Self.depth else {
      return nil
    }
    // Each is of 16 bits, so that no product overflows.
    let width = Int(values[Index.width])
    let height = Int(values[Index.height])
    let offset = 4 * (Int(values[Index.yOffset]) * lineWidth + Int(values[Index.xOffset]))
    guard width > 0, height > 0,
      offset + 4 * (lineWidth * (height - 1) + width) <= memoryByteCount
    else { return nil }
    return DisplayMode(
      width: width, height: height, lineByteCount: 4 * lineWidth, offset: offset)
  }

  /// Pixels from one line to the next.
  private var lineWidth: Int {
    Int(max(values[Index.width], values[Index.virtualWidth]))
  }

  /// What a guest reads; zero past the last register.
  func read(_ index: Int) -> UInt16 {
    let asksForCapabilities = values[Index.enable] & Enable.capabilities != 0
    switch index {
    case Index.identifier: return Self.identifier
    case Index.width where asksForCapabilities: return Self.largest.width
    case Index.height where asksForCapabilities: return Self.largest.height
    case Index.depth where asksForCapabilities: return Self.depth
    case Index.virtualWidth: return UInt16(lineWidth)
    case Index.virtualHeight:
      return lineWidth == 0 ? 0 : UInt16(clamping: memoryByteCount / (4 * lineWidth))
    case Index.memory: return UInt16(clamping: memoryByteCount >> 16)
    case 0..<Index.count: return values[index]
    default: return 0
    }
  }

  /// Takes a guest's write; any values are accepted.
  ///
  /// - Returns: whether the picture becomes black: the display was turned on.
  mutating func write(_ index: Int, _ value: UInt16) -> Bool {
    switch index {
    case Index.identifier, Index.virtualHeight, Index.memory: return false
    case Index.enable:
      let wasOn = values[index] & Enable.on != 0
      values[index] = value
      return !wasOn && value & Enable.on != 0 && value & Enable.keepsMemory == 0
    case 0..<Index.count:
      values[index] = value
      return false
    default: return false
    }
  }
}

extension BochsRegisters {
  /// Any values are possible, as for the guest.
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.integers(&values)
  }
}
