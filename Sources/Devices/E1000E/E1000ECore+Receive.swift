internal import Bytes
internal import GuestMemory

/// What comes in: filters, checksums, descriptors. Source: 82574 datasheet, section 7.1.
extension E1000ECore {
  enum Reception {
    case taken
    /// Nothing for this card, or too long.
    case dropped
    /// There are too few buffers; `isShortOfBuffers` is set.
    case waits
  }

  private static let minimumByteCount = 60
  private static let checksumByteCount = 4
  /// With the checksum, without a VLAN tag; and what the card takes if it may be more.
  private static let usualByteCount = 1518
  static let longByteCount = 16_384

  /// Takes a frame that came in.
  ///
  /// - Parameters:
  ///   - frame: from the Ethernet header on, at least that.
  ///   - memory: nil while the card is not bus master.
  ///   - scratch: for a frame that is not stored as it came, at least `longByteCount` bytes.
  mutating func receive(
    _ frame: RawSpan, _ memory: GuestMemory?, scratch: inout [UInt8]
  ) -> Reception {
    let control = self[E1000ERegister.receiveControl]
    guard control & E1000EReceiveControl.enable != 0, hasLink, let memory else { return .dropped }
    let tag = vlanTag(of: frame)
    guard accepts(frame, tag: tag, control) else { return .dropped }
    let limit =
      control & E1000EReceiveControl.longFrames != 0
      ? Self.longByteCount : Self.usualByteCount + (tag == nil ? 0 : 4)
    guard frame.byteCount <= limit - Self.checksumByteCount else {
      count(.oversized)
      return .dropped
    }
    let status = ReceivedChecksums(frame, payloadType: tag == nil ? 12 : 16)
    let strips = tag != nil && self[E1000ERegister.control] & E1000EControl.vlans != 0
    let result: Reception
    if !strips, frame.byteCount >= Self.minimumByteCount,
      control & E1000EReceiveControl.stripsChecksum != 0
    {
      result = store(frame, tag: nil, status, control, memory)
    } else {
      let byteCount = Self.arrange(
        frame, strips: strips, addsChecksum: control & E1000EReceiveControl.stripsChecksum == 0,
        in: &scratch)
      // SAFETY: a byte is initialised and has no padding.
      let arranged = unsafe scratch.span.bytes.extracting(..<byteCount)
      result = store(arranged, tag: strips ? tag : nil, status, control, memory)
    }
    if result == .taken { countReceived(frame) }
    return result
  }

  private mutating func countReceived(_ frame: RawSpan) {
    count(.received)
    count(.goodReceived)
    let destination = EthernetAddress(frame)
    if destination.isGroup {
      count(destination == .broadcast ? .broadcastReceived : .multicastReceived)
    }
    let byteCount = max(frame.byteCount, Self.minimumByteCount) + Self.checksumByteCount
    countBytes(.goodReceivedBytes, byteCount)
    countBytes(.receivedBytes, byteCount)
  }

  /// Puts a frame as the guest gets it into `scratch`: without the tag, padded, with its checksum.
  private static func arrange(
    _ frame: RawSpan, strips: Bool, addsChecksum: Bool, in scratch: inout [UInt8]
  ) -> Int {
    var byteCount = 0
    func add(_ range: Range<Int>) {
      for index in range {
        scratch[byteCount] = frame.loadLE(at: index)
        byteCount += 1
      }
    }
    add(0..<12)
    add((strips ? 16 : 12)..<frame.byteCount)
    while byteCount < minimumByteCount {
      scratch[byteCount] = 0
      byteCount += 1
    }
    guard addsChecksum else { return byteCount }
    scratch.storeLE(EthernetChecksum.of(scratch[..<byteCount]), at: byteCount)
    return byteCount + checksumByteCount
  }

  // MARK: Filters

  private func vlanTag(of frame: RawSpan) -> UInt16? {
    guard frame.byteCount >= 18,
      UInt32(frame.loadBE(at: 12, as: UInt16.self)) == self[E1000ERegister.vlanType]
    else { return nil }
    return frame.loadBE(at: 14)
  }

  private func accepts(_ frame: RawSpan, tag: UInt16?, _ control: UInt32) -> Bool {
    if let tag, control & E1000EReceiveControl.vlanFilter != 0 {
      let word = self[E1000ERegister.vlans + 4 * UInt64(tag >> 5 & 0x7F)]
      guard word >> UInt32(tag & 31) & 1 != 0 else { return false }
      if control & E1000EReceiveControl.canonicalFilter != 0 {
        guard (tag >> 12 & 1 != 0) == (control & E1000EReceiveControl.canonical != 0) else {
          return false
        }
      }
    }
    let destination = EthernetAddress(frame)
    if destination == .broadcast, control & E1000EReceiveControl.broadcast != 0 { return true }
    let all =
      destination.isGroup ? E1000EReceiveControl.allMulticast : E1000EReceiveControl.allUnicast
    if control & all != 0 { return true }
    let low: UInt32 = frame.loadLE(at: 0)
    let high = UInt32(frame.loadLE(at: 4, as: UInt16.self))
    for index in 0..<UInt64(16) {
      let entry = E1000ERegister.addresses + 8 * index
      let upper = self[entry + 4]
      if upper >> 31 != 0, self[entry] == low, upper & 0xFFFF == high { return true }
    }
    return destination.isGroup && isInMulticastTable(high, control)
  }

  /// - Parameter end: the address's last two bytes, little-endian.
  private func isInMulticastTable(_ end: UInt32, _ control: UInt32) -> Bool {
    let shifts: [4 of UInt32] = [4, 3, 2, 0]
    let shift = shifts[Int(control >> E1000EReceiveControl.multicastShift & 3)]
    let hash = end >> shift & 0xFFF
    return self[E1000ERegister.multicast + 4 * UInt64(hash >> 5)] >> (hash & 31) & 1 != 0
  }

  // MARK: Descriptors

  /// How the guest wants frames stored.
  private struct Layout {
    var isExtended: Bool
    var splits: Bool
    /// Of the buffers of a descriptor; one, or four.
    var byteCounts: [4 of Int]

    var descriptorByteCount: Int { splits ? 32 : 16 }
    var byteCount: Int { byteCounts[0] + byteCounts[1] + byteCounts[2] + byteCounts[3] }

    init(_ core: E1000ECore, _ control: UInt32) {
      isExtended = core[E1000ERegister.receiveFilter] >> 15 & 1 != 0
      splits = isExtended && control & (3 << 10) == E1000EReceiveControl.splits
      if splits {
        let sizes = core[E1000ERegister.splitControl]
        byteCounts = [
          Int(sizes & 0x7F) * 128, Int(sizes >> 8 & 0x3F) * 1024, Int(sizes >> 16 & 0x3F) * 1024,
          Int(sizes >> 24 & 0x3F) * 1024,
        ]
      } else {
        let flexible = Int(control >> 27 & 0xF) * 1024
        let size = 2048 >> Int(control >> 16 & 3)
        let isLarge = control >> 25 & 1 != 0 && control >> 16 & 3 != 0
        byteCounts = [flexible > 0 ? flexible : isLarge ? size * 16 : size, 0, 0, 0]
      }
    }
  }

  /// Stores a frame where the guest wants it, over as many descriptors as it takes.
  private mutating func store(
    _ frame: RawSpan, tag: UInt16?, _ checksums: ReceivedChecksums, _ control: UInt32,
    _ memory: GuestMemory
  ) -> Reception {
    let layout = Layout(self, control)
    var ring = E1000ERing(
      self, at: E1000ERegister.receiveRing, descriptorByteCount: layout.descriptorByteCount)
    guard layout.byteCount > 0 else { return .dropped }
    let needed = (frame.byteCount + layout.byteCount - 1) / layout.byteCount
    guard needed <= ring.availableCount else {
      // A ring of less than that is the guest's mistake, if it is a ring at all.
      guard ring.count == 0 || needed < ring.count else { return .dropped }
      if !isShortOfBuffers { count(.noBuffer) }
      isShortOfBuffers = true
      return .waits
    }
    var offset = 0
    for _ in 0..<needed {
      if let descriptor = ring.address() {
        let end = min(offset + layout.byteCount, frame.byteCount)
        let written = Self.fill(
          descriptor, with: frame.extracting(offset..<end), layout, memory)
        var status: UInt32 = 1 | (tag == nil ? 0 : 1 << 3)
        if end == frame.byteCount { status |= 1 << 1 }
        status |= checksums.status(enabled: self[E1000ERegister.receiveChecksum])
        Self.writeBack(
          descriptor, status, byteCounts: written, tag: tag ?? 0, layout, memory)
        offset = end
      }
      ring.advance(by: 1)
    }
    self[E1000ERegister.receiveRing + E1000ERegister.Ring.head] = UInt32(ring.head)
    let threshold = ring.count >> Int(1 + control >> E1000EReceiveControl.thresholdShift & 3)
    raise([.received, .receiveQueue0])
    if ring.availableCount <= threshold { raise(.receiveThreshold) }
    return .taken
  }

  /// Writes bytes to the buffers of a descriptor; what is not RAM stays away.
  ///
  /// - Returns: how many are in each.
  private static func fill(
    _ descriptor: GPA, with bytes: RawSpan, _ layout: Layout, _ memory: GuestMemory
  ) -> [4 of Int] {
    var written: [4 of Int] = [0, 0, 0, 0]
    var offset = 0
    for index in 0..<(layout.splits ? 4 : 1) {
      let count = min(layout.byteCounts[index], bytes.byteCount - offset)
      guard count > 0 else { continue }
      if let place = descriptor.advanced(by: UInt64(8 * index)),
        let address = try? memory.load(at: place, as: UInt64.self)
      {
        try? memory.write(bytes.extracting(offset..<offset + count), at: GPA(address))
      }
      written[index] = count
      offset += count
    }
    return written
  }

  /// Writes the descriptor's answer, the word with *Descriptor Done* last.
  private static func writeBack(
    _ descriptor: GPA, _ status: UInt32, byteCounts: [4 of Int], tag: UInt16, _ layout: Layout,
    _ memory: GuestMemory
  ) {
    func store(_ word: UInt64, at offset: UInt64) {
      if let place = descriptor.advanced(by: offset) { try? memory.store(word, at: place) }
    }
    let length = UInt64(byteCounts[0])
    guard layout.isExtended else {
      // Status in bits 0 to 7, errors in 24 to 31, as the two bytes are.
      let word = UInt64(status & 0xFF) << 32 | UInt64(status >> 24) << 40
      return store(length | word | UInt64(tag) << 48, at: 8)
    }
    if layout.splits {
      let others = (1..<4).reduce(UInt64(0)) { $0 | UInt64(byteCounts[$1]) << UInt64(16 * $1) }
      store(others, at: 16)
    }
    store(0, at: 0)
    store(UInt64(status) | length << 32 | UInt64(tag) << 48, at: 8)
  }
}

/// Which checksums of a frame there are, and whether they are right.
private struct ReceivedChecksums {
  private var hasIP = false
  private var isIPWrong = false
  private var hasTCP = false
  private var hasUDP = false
  private var isTransportWrong = false

  /// - Parameter payloadType: where the type of what the frame carries is.
  init(_ frame: RawSpan, payloadType: Int) {
    let start = payloadType + 2
    guard frame.byteCount >= start + 20 else { return }
    var sum = InternetChecksum()
    let end: Int
    let transport: Int
    let kind: UInt8
    switch frame.loadBE(at: payloadType, as: UInt16.self) {
    case 0x0800:
      let headerByteCount = Int(frame.loadLE(at: start, as: UInt8.self) & 0xF) * 4
      end = start + Int(frame.loadBE(at: start + 2, as: UInt16.self))
      transport = start + headerByteCount
      guard headerByteCount >= 20, transport <= end, end <= frame.byteCount else { return }
      var header = InternetChecksum()
      header.add(frame.extracting(start..<transport))
      hasIP = true
      isIPWrong = header.sum != 0xFFFF
      // Only the last of a fragment's pieces would have it all.
      guard frame.loadBE(at: start + 6, as: UInt16.self) & 0x3FFF == 0 else { return }
      kind = frame.loadLE(at: start + 9)
      sum.add(frame.extracting(start + 12..<start + 20))
    case 0x86DD:
      transport = start + 40
      guard frame.byteCount >= transport else { return }
      end = transport + Int(frame.loadBE(at: start + 4, as: UInt16.self))
      guard end <= frame.byteCount else { return }
      kind = frame.loadLE(at: start + 6)
      sum.add(frame.extracting(start + 8..<transport))
    default: return
    }
    guard let checksum = [6: 16, 17: 6][kind], end - transport >= checksum + 2 else { return }
    if kind == 17, frame.loadLE(at: transport + checksum, as: UInt16.self) == 0 { return }
    sum.add(UInt16(kind))
    sum.add(UInt16(truncatingIfNeeded: end - transport))
    sum.add(frame.extracting(transport..<end))
    hasTCP = kind == 6
    hasUDP = kind == 17
    isTransportWrong = sum.sum != 0xFFFF
  }

  /// Bits of a descriptor: what was looked at in the lowest byte, what was wrong in the highest.
  ///
  /// - Parameter settings: *RXCSUM*.
  func status(enabled settings: UInt32) -> UInt32 {
    var status: UInt32 = 0
    if settings >> 8 & 1 != 0, hasIP { status |= 1 << 6 | (isIPWrong ? 1 << 30 : 0) }
    if settings >> 9 & 1 != 0, hasTCP || hasUDP {
      status |= (hasTCP ? 1 << 5 : 1 << 4) | (isTransportWrong ? 1 << 29 : 0)
    }
    // *Ignore Checksum Indication*
    return status == 0 ? 1 << 2 : status
  }
}

/// The checksum at a frame's end, which drivers nearly always have taken off. IEEE 802.3 §3.2.9.
enum EthernetChecksum {
  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { value, _ in
      value & 1 == 0 ? value >> 1 : value >> 1 ^ 0xEDB8_8320
    }
  }

  static func of(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    ~bytes.reduce(UInt32.max) { table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ $0 >> 8 }
  }
}
