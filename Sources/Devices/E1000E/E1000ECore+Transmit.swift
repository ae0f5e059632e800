internal import Bytes
internal import DeviceKit
internal import GuestMemory

/// What a descriptor of type *context* sets for the packets after it: where headers are.
struct E1000EContext: Hashable, Sendable {
  /// *IPCSS*, *IPCSO*, *IPCSE*: the IP header's start, its checksum, its last byte (0: the end).
  var ipStart = 0
  var ipChecksum = 0
  var ipEnd = 0
  /// The same of the header behind it (*TUCSS*, *TUCSO*, *TUCSE*).
  var transportStart = 0
  var transportChecksum = 0
  var transportEnd = 0
  var headerByteCount = 0
  var segmentByteCount = 0
  var isTCP = false
  var isIPv4 = false

  init() {}

  init(_ low: UInt64, _ high: UInt64) {
    ipStart = Int(low & 0xFF)
    ipChecksum = Int(low >> 8 & 0xFF)
    ipEnd = Int(low >> 16 & 0xFFFF)
    transportStart = Int(low >> 32 & 0xFF)
    transportChecksum = Int(low >> 40 & 0xFF)
    transportEnd = Int(low >> 48 & 0xFFFF)
    isTCP = high >> 24 & 1 != 0
    isIPv4 = high >> 25 & 1 != 0
    headerByteCount = Int(high >> 40 & 0xFF)
    segmentByteCount = Int(high >> 48 & 0xFFFF)
  }

  /// As the descriptor had it: all values are possible.
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    var low = [(ipStart, 0), (ipChecksum, 8), (ipEnd, 16), (transportStart, 32)]
      .reduce(UInt64(0)) { $0 | UInt64($1.0) << UInt64($1.1) }
    low |= UInt64(transportChecksum) << 40 | UInt64(transportEnd) << 48
    var high = UInt64(headerByteCount) << 40 | UInt64(segmentByteCount) << 48
    high |= (isTCP ? 1 << 24 : 0) | (isIPv4 ? 1 << 25 : 0)
    try transfer.integer(&low)
    try transfer.integer(&high)
    self = E1000EContext(low, high)
  }
}

/// A transmit queue, beside its ring.
struct E1000ETransmitQueue: Sendable {
  var context = E1000EContext()
  /// The descriptors so far are a packet's, and not all of it.
  var isInPacket = false
  /// The guest is to know that descriptors are done.
  var hasReported = false

  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try context.transfer(&transfer)
    try transfer.flag(&isInPacket)
    try transfer.flag(&hasReported)
  }
}

/// A packet as the guest's descriptors have it, before it is cut into frames.
struct E1000EPacket: Sendable {
  /// The most that the card cuts.
  static let maximumByteCount = 256 * 1024

  private(set) var bytes = [UInt8](repeating: 0, count: maximumByteCount)
  private(set) var byteCount = 0
  private(set) var isWhole = true
  var context = E1000EContext()
  var isSegmented = false
  var sumsIP = false
  var sumsTransport = false
  var tag: UInt16?

  mutating func begin() {
    byteCount = 0
    isWhole = true
    (isSegmented, sumsIP, sumsTransport, tag) = (false, false, false, nil)
  }

  /// Adds what a descriptor points to. A packet that is too long, or not in RAM, goes nowhere.
  mutating func append(at address: GPA, byteCount count: Int, _ memory: GuestMemory) {
    guard isWhole, count <= Self.maximumByteCount - byteCount else {
      isWhole = false
      return
    }
    let range = byteCount..<byteCount + count
    var elements = bytes.mutableSpan
    // SAFETY: every bit pattern is a byte; the range was checked.
    isWhole = unsafe elements.withUnsafeMutableBytes { all in
      var part = unsafe UnsafeMutableRawBufferPointer(rebasing: all[range]).mutableBytes
      return (try? memory.read(at: address, into: &part)) != nil
    }
    byteCount += count
  }
}

extension E1000EPacket {
  /// A packet of which only some descriptors have come.
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    var content = Array(bytes[..<byteCount])
    try transfer.bytes(&content, maximumCount: Self.maximumByteCount)
    if transfer.isRestoring {
      bytes.replaceSubrange(..<content.count, with: content)
      byteCount = content.count
    }
    try transfer.flag(&isWhole)
    try context.transfer(&transfer)
    try transfer.flag(&isSegmented)
    try transfer.flag(&sumsIP)
    try transfer.flag(&sumsTransport)
    try transfer.integer(&tag)
  }
}

/// Transmit rings. Source: 82574 datasheet, section 7.2.
extension E1000ECore {
  /// Descriptors that are looked at without giving up the lock.
  private static let turnLength = 64

  enum Gathering {
    /// The packet is complete.
    case packet
    /// It is not; there are more descriptors.
    case unfinished
    case nothing
  }

  /// Whether frames leave the card.
  private var transmits: Bool { self[E1000ERegister.transmitControl] >> 1 & 1 != 0 }

  /// Takes descriptors of a queue until a packet is complete.
  ///
  /// - Parameter packet: the queue's; what is in it belongs to the descriptors before.
  mutating func gather(
    _ queue: Int, into packet: inout E1000EPacket, _ memory: GuestMemory
  ) -> Gathering {
    guard transmits else { return .nothing }
    let registers = E1000ERegister.transmitRing + E1000ERegister.ringByteCount * UInt64(queue)
    var ring = E1000ERing(self, at: registers)
    var steps = min(ring.availableCount, Self.turnLength)
    var result = Gathering.nothing
    while steps > 0, result != .packet {
      steps -= 1
      result = take(ring.address(), queue, into: &packet, memory) ? .packet : .unfinished
      ring.advance(by: 1)
    }
    self[registers + E1000ERegister.Ring.head] = UInt32(ring.head)
    if ring.availableCount == 0, result == .unfinished { return .nothing }
    return result
  }

  /// Takes one descriptor; one that is not in RAM ends what it is part of.
  ///
  /// - Returns: whether the packet is complete.
  private mutating func take(
    _ descriptor: GPA?, _ queue: Int, into packet: inout E1000EPacket, _ memory: GuestMemory
  ) -> Bool {
    guard let descriptor, let second = descriptor.advanced(by: 8),
      let low = try? memory.load(at: descriptor, as: UInt64.self),
      let high = try? memory.load(at: second, as: UInt64.self)
    else {
      transmitQueues[queue].isInPacket = false
      return false
    }
    let command = UInt8(truncatingIfNeeded: high >> 24)
    let isExtended = command >> 5 & 1 != 0
    let type = isExtended ? high >> 20 & 0xF : 1
    var isComplete = false
    if type == 0 {
      transmitQueues[queue].context = E1000EContext(low, high)
    } else if type == 1 {
      if !transmitQueues[queue].isInPacket {
        transmitQueues[queue].isInPacket = true
        packet.begin()
        packet.context = transmitQueues[queue].context
        if isExtended {
          packet.isSegmented = command >> 2 & 1 != 0
          packet.sumsIP = high >> 40 & 1 != 0
          packet.sumsTransport = high >> 41 & 1 != 0
        }
      }
      packet.append(
        at: GPA(low), byteCount: Int(high & (isExtended ? 0xF_FFFF : 0xFFFF)), memory)
      if command & 1 != 0 {
        isComplete = true
        transmitQueues[queue].isInPacket = false
        if !isExtended, command >> 2 & 1 != 0 {
          packet.context.transportStart = Int(high >> 40 & 0xFF)
          packet.context.transportChecksum = Int(high >> 16 & 0xFF)
          packet.context.transportEnd = 0
          packet.sumsTransport = true
        }
        if command >> 6 & 1 != 0, self[E1000ERegister.control] & E1000EControl.vlans != 0 {
          packet.tag = UInt16(truncatingIfNeeded: high >> 48)
        }
      }
    }
    if command >> 3 & 1 != 0, let place = descriptor.advanced(by: 12) {
      // *Descriptor Done*: what it points to was read.
      try? memory.store(UInt8(truncatingIfNeeded: high >> 32) | 1, at: place)
      transmitQueues[queue].hasReported = true
    }
    return isComplete
  }

  /// Notes what was sent, and raises the causes that descriptors asked for.
  mutating func noteSent(_ sent: E1000ESentCounts) {
    count(.sent, sent.frames)
    count(.goodSent, sent.frames)
    count(.broadcastSent, sent.broadcasts)
    count(.multicastSent, sent.multicasts)
    count(.segmented, sent.segmentedPackets)
    countBytes(.goodSentBytes, sent.byteCount)
    countBytes(.sentBytes, sent.byteCount)
    let queueCauses: [2 of E1000ECauses] = [.transmitQueue0, .transmitQueue1]
    for queue in 0..<2 where transmitQueues[queue].hasReported {
      transmitQueues[queue].hasReported = false
      raise([.transmitted, .transmitEmpty, queueCauses[queue]])
    }
  }
}

/// What the statistics count of frames that were sent.
struct E1000ESentCounts: Sendable {
  var frames: UInt32 = 0
  var broadcasts: UInt32 = 0
  var multicasts: UInt32 = 0
  var segmentedPackets: UInt32 = 0
  /// With the checksums at the frames' ends.
  var byteCount = 0
}
