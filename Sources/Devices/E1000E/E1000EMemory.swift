internal import Bytes
internal import DeviceKit

/// The card's non-volatile memory: 64 words, among them its address, and a sum that drivers check.
/// Source: 82574 datasheet, chapter 6.
struct E1000ENVM: Sendable {
  static let wordCount = 64
  /// What all words add up to.
  private static let checksum: UInt16 = 0xBABA

  private(set) var words: [UInt16]
  /// What it was made with; the driver may have written another one.
  private let address: [UInt16]

  /// - Parameter address: the card's, 6 bytes in the order they go over the wire.
  init(address: [UInt8]) {
    precondition(address.count == 6, "an Ethernet address of \(address.count) bytes")
    self.address = (0..<3).map { address.loadLE(at: 2 * $0) }
    words = self.address + Array(repeating: 0xFFFF, count: Self.wordCount - 3)
    // Compatibility, none; the version of the image, 1.0; board number.
    words[0x03] = 0
    words[0x05] = 0x1000
    words[0x08] = 0
    words[0x09] = 0
    // *Initialization Control 1*: a valid memory; identifiers as in configuration space.
    words[0x0A] = 0x4000
    words[0x0B] = 0
    words[0x0C] = 0x8086
    words[0x0D] = 0x10D3
    // *Initialization Control 2*: no management.
    words[0x0F] = 0
    // Power management is on, and firmware of the card has no program.
    words[0x1A] = 0
    words[0x24] = 0
    completeChecksum()
  }

  private mutating func completeChecksum() {
    let sum = words[..<(Self.wordCount - 1)].reduce(0, &+)
    words[Self.wordCount - 1] = Self.checksum &- sum
  }

  /// All ones outside.
  func word(at index: Int) -> UInt16 {
    words.indices.contains(index) ? words[index] : 0xFFFF
  }

  /// Lost with the machine. Outside, without effect.
  mutating func write(_ word: UInt16, at index: Int) {
    if words.indices.contains(index) { words[index] = word }
  }
}

/// The card's transceiver: a link of 1000 Mb/s that is negotiated at once. Registers 0 to 15 by
/// IEEE 802.3 clause 22; what is behind them is stored.
struct E1000EPHY: Sendable {
  private enum Register {
    static let control = 0
    static let status = 1
    static let partner = 5
    static let partner1000 = 10
    static let extendedStatus = 15
    static let specificStatus = 17
  }

  /// *BMCR*: reset and restart, which are done at once.
  private static let reset: UInt16 = 1 << 15
  private static let restart: UInt16 = 1 << 9
  /// Negotiation on, full duplex, 1000 Mb/s.
  private static let control: UInt16 = 0x1140

  private var words = [UInt16](repeating: 0, count: 32)

  init() {
    words[Register.control] = Self.control
    // A Marvell 88E1149 as the 82574L has it.
    words[2] = 0x0141
    words[3] = 0x0CB1
    words[4] = 0x0DE1
    words[9] = 0x0E00
    words[16] = 0x0078
  }

  func read(_ register: Int, hasLink: Bool) -> UInt16 {
    switch register {
    // All speeds, an extended status, negotiation possible; done, with a link.
    case Register.status: 0x7949 | (hasLink ? 1 << 5 | 1 << 2 : 0)
    case Register.partner: hasLink ? 0xCDE1 : 0
    case 6: hasLink ? 0x000F : 0x0004
    case Register.partner1000: hasLink ? 0x3C00 : 0
    case Register.extendedStatus: 0x3000
    // 1000 Mb/s, full duplex, resolved, link.
    case Register.specificStatus: hasLink ? 0xAC00 : 0
    default: words[register]
    }
  }

  /// - Returns: whether the link was negotiated again.
  mutating func write(_ value: UInt16, to register: Int) -> Bool {
    switch register {
    case Register.control:
      if value & Self.reset != 0 { self = E1000EPHY() }
      words[Register.control] = value & ~(Self.reset | Self.restart)
      return value & (Self.reset | Self.restart) != 0
    case 2, 3: return false
    default:
      words[register] = value
      return false
    }
  }
}

extension E1000ENVM {
  /// What is restored into a card with another address, as a copy of a machine may have, has that
  /// one from then on.
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    var savedAddress = address
    try transfer.integers(&savedAddress)
    try transfer.integers(&words)
    guard savedAddress != address else { return }
    words.replaceSubrange(0..<3, with: address)
    completeChecksum()
  }
}

extension E1000EPHY {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.integers(&words)
  }
}
