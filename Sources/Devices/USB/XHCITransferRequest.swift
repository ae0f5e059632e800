internal import Bytes
internal import DeviceKit
internal import GuestMemory

/// A *Transfer Request Block*: 16 bytes of a ring. Source: xHCI 1.2 §6.4.
struct XHCITransferRequest: Equatable, Sendable {
  static let byteCount: UInt64 = 16

  /// *TRB Type*. Source: xHCI 1.2 §6.4.6.
  struct Kind: RawRepresentable, Equatable, Sendable {
    let rawValue: UInt8

    static let normal = Kind(rawValue: 1)
    static let setupStage = Kind(rawValue: 2)
    static let dataStage = Kind(rawValue: 3)
    static let statusStage = Kind(rawValue: 4)
    static let link = Kind(rawValue: 6)
    static let eventData = Kind(rawValue: 7)
    static let noTransfer = Kind(rawValue: 8)
    static let enableSlot = Kind(rawValue: 9)
    static let disableSlot = Kind(rawValue: 10)
    static let addressDevice = Kind(rawValue: 11)
    static let configureEndpoint = Kind(rawValue: 12)
    static let evaluateContext = Kind(rawValue: 13)
    static let resetEndpoint = Kind(rawValue: 14)
    static let stopEndpoint = Kind(rawValue: 15)
    static let setDequeuePointer = Kind(rawValue: 16)
    static let resetDevice = Kind(rawValue: 17)
    static let noCommand = Kind(rawValue: 23)
    static let transferEvent = Kind(rawValue: 32)
    static let commandCompletion = Kind(rawValue: 33)
    static let portStatusChange = Kind(rawValue: 34)
    static let hostController = Kind(rawValue: 37)
  }

  var parameter: UInt64
  var status: UInt32
  var control: UInt32

  var kind: Kind { Kind(rawValue: UInt8(control >> 10 & 0x3F)) }
  /// Bytes of a transfer, up to 128 KiB.
  var transferByteCount: Int { Int(status & 0x1_FFFF) }
  /// Of a link: the cycle bit's meaning turns behind it.
  var togglesCycle: Bool { control & 1 << 1 != 0 }
  /// *Interrupt on Short Packet*.
  var reportsShortPacket: Bool { control & 1 << 2 != 0 }
  /// *Chain*: the next one belongs to the same transfer.
  var isChained: Bool { control & 1 << 4 != 0 }
  /// *Interrupt on Completion*.
  var reportsCompletion: Bool { control & 1 << 5 != 0 }
  /// *Immediate Data*: `parameter` is the data.
  var isImmediate: Bool { control & 1 << 6 != 0 }
  /// *Block Event Interrupt*.
  var blocksInterrupt: Bool { control & 1 << 9 != 0 }
  /// Of data and status stages: to the host.
  var isInput: Bool { control & 1 << 16 != 0 }
  /// Of commands: which slot and endpoint they are for.
  var slot: Int { Int(control >> 24) }
  var endpoint: Int { Int(control >> 16 & 0x1F) }
}

/// How a command or transfer ended. Source: xHCI 1.2 §6.4.5.
struct XHCICompletion: RawRepresentable, Equatable, Sendable {
  let rawValue: UInt8

  static let success = XHCICompletion(rawValue: 1)
  static let babble = XHCICompletion(rawValue: 3)
  static let transactionError = XHCICompletion(rawValue: 4)
  static let requestError = XHCICompletion(rawValue: 5)
  static let stall = XHCICompletion(rawValue: 6)
  static let noSlots = XHCICompletion(rawValue: 9)
  static let slotNotEnabled = XHCICompletion(rawValue: 11)
  static let endpointNotEnabled = XHCICompletion(rawValue: 12)
  static let shortPacket = XHCICompletion(rawValue: 13)
  static let parameterError = XHCICompletion(rawValue: 17)
  static let contextStateError = XHCICompletion(rawValue: 19)
  static let eventRingFull = XHCICompletion(rawValue: 21)
  static let commandRingStopped = XHCICompletion(rawValue: 24)
  static let stopped = XHCICompletion(rawValue: 26)
}

/// The guest gave an address for a ring, a table or a context where there is no RAM.
struct XHCIMemoryFault: Error {}

/// A ring that the guest fills and the controller empties: of commands or transfers.
struct XHCIRing: Equatable, Sendable {
  /// Links in a row: one leads to the next segment, several mean nothing, and a ring of nothing
  /// else would have no end.
  static let maximumLinkCount = 16

  /// The next block, a multiple of 16.
  var pointer: UInt64
  /// What the cycle bit of blocks is that the guest has filled.
  var cycle: Bool

  /// From a context or register: bit 0 is the cycle bit.
  init(_ value: UInt64) {
    pointer = value & ~0xF
    cycle = value & 1 != 0
  }

  /// As contexts and registers have it.
  var value: UInt64 { pointer | (cycle ? 1 : 0) }

  /// The next block, which stays; nil if the guest has filled no more.
  mutating func peek(_ memory: GuestMemory) throws(XHCIMemoryFault) -> XHCITransferRequest? {
    for _ in 0..<Self.maximumLinkCount {
      // First what has the cycle bit, which the guest writes last.
      let control: UInt32 = try memory.loadXHCI(at: pointer &+ 12)
      guard (control & 1 != 0) == cycle else { return nil }
      let request = XHCITransferRequest(
        parameter: try memory.loadXHCI(at: pointer), status: try memory.loadXHCI(at: pointer &+ 8),
        control: control)
      guard request.kind == .link else { return request }
      pointer = request.parameter & ~0xF
      if request.togglesCycle { cycle.toggle() }
    }
    return nil
  }

  /// Leaves the block that was peeked at.
  mutating func advance() {
    pointer &+= XHCITransferRequest.byteCount
  }
}

extension GuestMemory {
  /// What the controller reads for itself.
  func loadXHCI<T: FixedWidthInteger & BitwiseCopyable>(
    at address: UInt64
  ) throws(XHCIMemoryFault) -> T {
    do throws(GuestMemoryError) {
      return try load(at: GPA(address))
    } catch {
      throw XHCIMemoryFault()
    }
  }

  func writeXHCI(_ bytes: [UInt8], at address: UInt64) throws(XHCIMemoryFault) {
    do throws(GuestMemoryError) {
      try write(bytes, at: GPA(address))
    } catch {
      throw XHCIMemoryFault()
    }
  }
}

extension XHCIRing {
  /// As registers and contexts have it: the place and the cycle bit in one.
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    var value = value
    try transfer.integer(&value)
    self = XHCIRing(value)
  }
}
