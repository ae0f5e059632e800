internal import Bytes
internal import DeviceKit
internal import GuestMemory
internal import Synchronization

/// The pages of a channel's two rings.
struct VMBusRingPages: Equatable, Sendable {
  /// GPNs: what the guest sends, and what it gets. The first page of each is its header.
  private(set) var fromGuest: [UInt64]
  private(set) var toGuest: [UInt64]

  /// - Parameter start: the page at which the second ring begins.
  /// - Returns: nil unless both have a header and room.
  init?(_ list: GuestPageList, secondStartsAt start: Int) {
    guard start >= 2, list.pages.count - start >= 2 else { return nil }
    fromGuest = Array(list.pages[..<start])
    toGuest = Array(list.pages[start...])
  }

  /// Those that are to be restored.
  init() {
    fromGuest = []
    toGuest = []
  }

  /// Saves or restores them.
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.integers(&fromGuest, maximumCount: GuestPageList.maximumPageCount)
    try transfer.integers(&toGuest, maximumCount: GuestPageList.maximumPageCount)
    try transfer.check(fromGuest.count >= 2 && toGuest.count >= 2, "a ring without room")
  }
}

/// The guest does not keep the rules of its rings.
struct VMBusRingFault: Error, Equatable {
  let what: String
}

/// One ring in guest memory: a header page with indices, and bytes that go round.
///
/// The end that moves here is kept here; the other one is the guest's, and is checked each time.
/// Source: Linux, include/linux/hyperv.h, `struct hv_ring_buffer`.
struct VMBusRing: Sendable {
  private enum Field {
    static let writeIndex: UInt64 = 0
    static let readIndex: UInt64 = 4
    static let interruptMask: UInt64 = 8
    static let pendingSendByteCount: UInt64 = 12
  }

  private static let pageByteCount = 4096
  /// *prev_indices*, behind each packet.
  static let trailerByteCount = 8
  /// What any device here has use for.
  static let maximumPacketByteCount = 16384

  private let header: UInt64
  private let pages: [UInt64]
  /// The end that moves here: the read index of what the guest sends, the write index of what it
  /// gets.
  private var index: Int

  private var byteCount: Int { pages.count * Self.pageByteCount }

  /// - Parameter pages: the header and at least one more. A channel that is opened begins with
  ///   empty rings.
  init(_ pages: [UInt64]) {
    header = pages[0]
    self.pages = Array(pages[1...])
    index = 0
  }

  /// Saves where this end is, or restores it.
  mutating func transferIndex(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.integer(&index, in: 0...byteCount - 1)
    try transfer.check(index.isMultiple(of: 8), "index \(index) of a ring")
  }

  // MARK: What the guest sends

  /// Takes the next packet, as a copy.
  ///
  /// - Parameter wantsSignal: set if the guest waits for room.
  /// - Returns: nil if there is none.
  mutating func receive(
    _ memory: GuestMemory, wantsSignal: inout Bool
  ) throws(VMBusRingFault) -> VMBusPacket? {
    let writeIndex = try otherIndex(Field.writeIndex, memory)
    let available = distance(from: index, to: writeIndex)
    guard available > 0 else { return nil }
    // The packet was written before the index, and is read after it.
    atomicMemoryFence(ordering: .acquiring)
    guard available >= VMBusPacket.headerByteCount + Self.trailerByteCount else {
      throw VMBusRingFault(what: "\(available) bytes are no packet")
    }
    let descriptor = try read(at: index, VMBusPacket.headerByteCount, memory)
    let packetHeader = VMBusPacket.Header(descriptor)
    guard packetHeader.isValid, packetHeader.byteCount <= available - Self.trailerByteCount,
      packetHeader.byteCount <= Self.maximumPacketByteCount
    else { throw VMBusRingFault(what: "a packet of \(packetHeader.byteCount) bytes") }
    let payload = try read(
      at: (index + packetHeader.headerByteCount) % byteCount,
      packetHeader.byteCount - packetHeader.headerByteCount, memory)
    let freeBefore = byteCount - available
    index = (index + packetHeader.byteCount + Self.trailerByteCount) % byteCount
    try store(UInt32(index), at: Field.readIndex, memory)
    // The guest looks at the index, then decides whether to signal; here it is the other way round,
    // and at least one of the two sees the other.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    let pending = Int(try load(Field.pendingSendByteCount, memory))
    let freeAfter = freeBefore + packetHeader.byteCount + Self.trailerByteCount
    if pending > 0, freeBefore <= pending, freeAfter > pending { wantsSignal = true }
    return VMBusPacket(
      kind: packetHeader.kind, wantsCompletion: packetHeader.wantsCompletion,
      transaction: packetHeader.transaction, payload: payload)
  }

  // MARK: What the guest gets

  /// Puts a packet into the ring.
  ///
  /// - Returns: whether the guest is to be signalled; nil if there is no room.
  mutating func send(
    _ packet: VMBusPacket, _ memory: GuestMemory
  ) throws(VMBusRingFault) -> Bool? {
    let readIndex = try otherIndex(Field.readIndex, memory)
    let used = distance(from: readIndex, to: index)
    let bytes = packet.bytes + (UInt64(index) << 32).littleEndianBytes
    // A full ring would look like an empty one.
    guard bytes.count < byteCount - used else { return nil }
    let old = index
    try write(bytes, at: index, memory)
    index = (index + bytes.count) % byteCount
    try store(UInt32(index), at: Field.writeIndex, memory)
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    guard try load(Field.interruptMask, memory) == 0 else { return false }
    // The guest reads on by itself until the ring is empty.
    return try otherIndex(Field.readIndex, memory) == old
  }

  // MARK: Bytes

  private func distance(from start: Int, to end: Int) -> Int {
    (end - start + byteCount) % byteCount
  }

  private func otherIndex(_ field: UInt64, _ memory: GuestMemory) throws(VMBusRingFault) -> Int {
    let index = Int(try load(field, memory))
    guard index < byteCount, index % 8 == 0 else {
      throw VMBusRingFault(what: "index \(index) of \(byteCount) bytes")
    }
    return index
  }

  private func address(_ page: UInt64, _ offset: UInt64) throws(VMBusRingFault) -> GPA {
    guard page < 1 << 52 else { throw VMBusRingFault(what: "a page beyond all addresses") }
    return GPA(page << 12 + offset)
  }

  private func load(_ field: UInt64, _ memory: GuestMemory) throws(VMBusRingFault) -> UInt32 {
    do { return try memory.load(at: try address(header, field)) } catch { throw Self.noMemory }
  }

  private func store(
    _ value: UInt32, at field: UInt64, _ memory: GuestMemory
  ) throws(VMBusRingFault) {
    do { try memory.store(value, at: try address(header, field)) } catch { throw Self.noMemory }
  }

  private func read(
    at start: Int, _ count: Int, _ memory: GuestMemory
  ) throws(VMBusRingFault) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    var offset = start
    while bytes.count < count {
      let (page, inPage) = offset.quotientAndRemainder(dividingBy: Self.pageByteCount)
      let piece = min(count - bytes.count, Self.pageByteCount - inPage)
      do {
        try memory.append(
          at: try address(pages[page], UInt64(inPage)), byteCount: piece, to: &bytes)
      } catch { throw Self.noMemory }
      offset = (offset + piece) % byteCount
    }
    return bytes
  }

  private func write(
    _ bytes: [UInt8], at start: Int, _ memory: GuestMemory
  ) throws(VMBusRingFault) {
    var (offset, done) = (start, 0)
    while done < bytes.count {
      let (page, inPage) = offset.quotientAndRemainder(dividingBy: Self.pageByteCount)
      let piece = min(bytes.count - done, Self.pageByteCount - inPage)
      do {
        try memory.write(
          Array(bytes[done..<(done + piece)]), at: try address(pages[page], UInt64(inPage)))
      } catch { throw Self.noMemory }
      done += piece
      offset = (offset + piece) % byteCount
    }
  }

  private static let noMemory = VMBusRingFault(what: "a page that is no RAM")
}
