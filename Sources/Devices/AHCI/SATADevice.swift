internal import Bytes
internal import DeviceKit
internal import GuestMemory

/// A device on a SATA port, as AHCI talks to it. Calls come on one thread at a time and may block.
protocol SATADevice: AnyObject, Sendable {
  /// What registers hold after a reset.
  var signature: ATARegisters { get }

  /// Carries out a command.
  ///
  /// - Parameter data: where the guest has its data, or wants it.
  func run(_ command: ATACommand, data: inout AHCIData) -> ATAResult

  /// COMRESET or a software reset.
  func reset()

  /// Returns when what was written is safe from a loss of power. During a pause.
  func flush() throws(BlockStoreError)

  /// Saves or restores what is not in the port's registers. While it carries out nothing.
  func transferState(_ transfer: inout StateTransfer) throws(StateError)

  /// What it is and looks like, from any thread; nil if its lock was taken.
  var activity: AHCIActivity.Device? { get }
}

/// The registers of a device that a FIS carries. Source: SATA 3.0 §10.3.5.
struct ATARegisters: Hashable, Sendable {
  var status: UInt8 = 0
  var error: UInt8 = 0
  /// 48 bits.
  var lba: UInt64 = 0
  var device: UInt8 = 0
  var count: UInt16 = 0

  /// *Register - Device to Host*, 20 bytes.
  func fis(interrupts: Bool) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 20)
    bytes[0] = 0x34
    bytes[1] = interrupts ? 0x40 : 0
    fill(&bytes)
    return bytes
  }

  /// *PIO Setup*, device to host, 20 bytes.
  func pioSetup(byteCount: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 20)
    bytes[0] = 0x5F
    bytes[1] = 0x60
    fill(&bytes)
    // What the status is after the data.
    bytes[15] = status
    bytes[2] = status | ATAStatus.dataRequest
    bytes.storeLE(UInt16(truncatingIfNeeded: byteCount), at: 16)
    return bytes
  }

  private func fill(_ bytes: inout [UInt8]) {
    bytes[2] = status
    bytes[3] = error
    for index in 0..<3 {
      bytes[4 + index] = UInt8(truncatingIfNeeded: lba >> (8 * UInt64(index)))
      bytes[8 + index] = UInt8(truncatingIfNeeded: lba >> (8 * UInt64(index) + 24))
    }
    bytes[7] = device
    bytes.storeLE(count, at: 12)
  }
}

extension ATARegisters {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.integer(&status)
    try transfer.integer(&error)
    try transfer.integer(&lba, in: 0...0xFFFF_FFFF_FFFF)
    try transfer.integer(&device)
    try transfer.integer(&count)
  }
}

/// Bits of the status and error registers. Source: ACS-3 §6.
enum ATAStatus {
  static let error: UInt8 = 0x01
  static let dataRequest: UInt8 = 0x08
  /// *Device seek complete*, which has no meaning any more and is always set.
  static let seekComplete: UInt8 = 0x10
  static let ready: UInt8 = 0x40
  static let busy: UInt8 = 0x80
  static let success = ready | seekComplete
  static let failure = ready | seekComplete | error

  /// Bits of the error register.
  static let aborted: UInt8 = 0x04
  static let notFound: UInt8 = 0x10
  static let uncorrectable: UInt8 = 0x40
}

/// A command, by its *Register - Host to Device* FIS.
struct ATACommand: Hashable, Sendable {
  var code: UInt8
  var features: UInt16
  var lba: UInt64
  var device: UInt8
  var count: UInt16
  /// Of a PACKET command.
  var packet: [UInt8]

  /// - Parameters:
  ///   - fis: at least 16 bytes.
  ///   - packet: behind it in the command table.
  init(fis: [UInt8], packet: [UInt8]) {
    code = fis[2]
    features = UInt16(fis[3]) | UInt16(fis[11]) << 8
    lba = [10, 9, 8, 6, 5, 4].reduce(0) { $0 << 8 | UInt64(fis[$1]) }
    device = fis[7]
    count = fis.loadLE(at: 12)
    self.packet = packet
  }
}

/// What a command came to.
struct ATAResult: Hashable, Sendable {
  /// How the end is announced.
  enum Ending: Hashable, Sendable {
    /// No data, or by DMA: a D2H FIS.
    case dma
    /// Data to the guest by PIO: a PIO Setup FIS, and nothing after it.
    case pio
    /// The same for PACKET: also a D2H FIS.
    case packetPIO
  }

  var registers: ATARegisters
  var kind = Ending.dma

  static func success(_ kind: Ending = .dma) -> ATAResult {
    ATAResult(registers: ATARegisters(status: ATAStatus.success), kind: kind)
  }

  static func failure(_ error: UInt8 = ATAStatus.aborted, lba: UInt64 = 0) -> ATAResult {
    ATAResult(registers: ATARegisters(status: ATAStatus.failure, error: error, lba: lba))
  }

  var isFailure: Bool { registers.status & ATAStatus.error != 0 }
}

extension [UInt8] {
  /// Stores text as IDENTIFY has it: padded with spaces, the bytes of each word swapped.
  mutating func storeATAText(_ text: String, at word: Int, wordCount: Int) {
    let padded =
      Array(text.utf8.prefix(2 * wordCount)) + [UInt8](repeating: 0x20, count: 2 * wordCount)
    for index in 0..<(2 * wordCount) { self[2 * word + (index ^ 1)] = padded[index] }
  }

  /// Stores a word of IDENTIFY's data.
  mutating func storeATAWord(_ value: UInt16, at word: Int) {
    storeLE(value, at: 2 * word)
  }
}
