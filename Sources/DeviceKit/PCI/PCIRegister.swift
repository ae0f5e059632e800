/// Offsets in the header of type 0 (PCI 3.0 §6.1) and bits of its registers.
enum PCIRegister {
  static let vendor = 0x00
  static let device = 0x02
  static let command = 0x04
  static let status = 0x06
  static let revision = 0x08
  static let classCode = 0x09
  static let cacheLine = 0x0C
  static let headerType = 0x0E
  static let firstBAR = 0x10
  static let subsystemVendor = 0x2C
  static let subsystem = 0x2E
  static let capabilities = 0x34
  static let interruptLine = 0x3C
  static let interruptPin = 0x3D
  /// Where capabilities and a function's own registers begin.
  static let endOfHeader = 0x40
  /// Where PCI Express extended capabilities begin; all zero says there are none.
  static let extended = 0x100

  /// *Multi-Function*, header type bit 7.
  static let multiFunction: UInt8 = 0x80
}

/// The command register, offset 0x04 (PCI 3.0 §6.2.2).
public struct PCICommand: OptionSet, Hashable, Sendable {
  /// The register's 16 bits.
  public let rawValue: UInt16

  /// Wraps a register's value; every value is accepted.
  public init(rawValue: UInt16) {
    self.rawValue = rawValue
  }

  /// *I/O Space*, bit 0: BARs of ports are decoded.
  public static let ioSpace = PCICommand(rawValue: 1 << 0)
  /// *Memory Space*, bit 1: memory BARs are decoded.
  public static let memorySpace = PCICommand(rawValue: 1 << 1)
  /// *Bus Master*, bit 2: the function may reach memory.
  public static let busMaster = PCICommand(rawValue: 1 << 2)
  /// *Parity Error Response*, bit 6: stored.
  public static let parityErrorResponse = PCICommand(rawValue: 1 << 6)
  /// *SERR# Enable*, bit 8: stored.
  public static let systemError = PCICommand(rawValue: 1 << 8)
  /// *Interrupt Disable*, bit 10: the function must not assert its INTx line.
  public static let interruptDisable = PCICommand(rawValue: 1 << 10)

  /// What a guest can write.
  static let writable: PCICommand = [
    .ioSpace, .memorySpace, .busMaster, .parityErrorResponse, .systemError, .interruptDisable,
  ]
}

/// The status register, offset 0x06 (PCI 3.0 §6.2.3).
struct PCIStatus: OptionSet {
  let rawValue: UInt16

  /// *Interrupt Status*, bit 3: the function wants its INTx line asserted.
  static let interrupt = PCIStatus(rawValue: 1 << 3)
  /// *Capabilities List*, bit 4.
  static let capabilities = PCIStatus(rawValue: 1 << 4)
  /// The error bits 8 and 11 to 15, cleared by writing 1. None is ever set here.
  static let clearable = PCIStatus(rawValue: 0xF900)
}
