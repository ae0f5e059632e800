internal import Bytes
internal import DeviceKit
internal import GuestMemory

/// The interrupter and its event ring, which the controller fills. Source: xHCI 1.2 §4.9.4, §5.5.2.
struct XHCIInterrupter: Sendable {
  /// Segments of the ring, as *ERST Max* in HCSPARAMS2 says it, as a power of two.
  static let maximumSegmentExponent: UInt32 = 4
  private static let segmentByteCounts: ClosedRange<UInt64> = 16...4096

  private struct Segment: Sendable {
    var start: UInt64
    var count: UInt64
  }

  /// *IMAN*'s IP and IE.
  private(set) var isPending = false
  private(set) var isEnabled = false
  private var moderation: UInt32 = 4000
  private var segmentCount: UInt32 = 0
  private var table: UInt64 = 0
  private var dequeue: UInt64 = 0
  /// *Event Handler Busy*: no further interrupt until the guest says that it is done.
  private var isHandlerBusy = false
  private var hasSaidFull = false
  /// From the table; read at the first event after the guest has set it.
  private var segments: [Segment] = []
  private var segment = 0
  private var index: UInt64 = 0
  private var cycle = true

  // MARK: Registers

  /// Offsets from the interrupter's first register.
  enum Register {
    static let management: UInt64 = 0x00
    static let moderation: UInt64 = 0x04
    static let segmentCount: UInt64 = 0x08
    static let table: UInt64 = 0x10
    static let dequeue: UInt64 = 0x18
  }

  func read(_ offset: UInt64) -> UInt32 {
    switch offset {
    case Register.management: (isPending ? 1 : 0) | (isEnabled ? 2 : 0)
    case Register.moderation: moderation
    case Register.segmentCount: segmentCount
    case Register.table: UInt32(truncatingIfNeeded: table)
    case Register.table + 4: UInt32(truncatingIfNeeded: table >> 32)
    case Register.dequeue: UInt32(truncatingIfNeeded: dequeue) | (isHandlerBusy ? 8 : 0)
    case Register.dequeue + 4: UInt32(truncatingIfNeeded: dequeue >> 32)
    default: 0
    }
  }

  mutating func write(_ offset: UInt64, _ value: UInt32) {
    switch offset {
    case Register.management:
      if value & 1 != 0 { isPending = false }
      isEnabled = value & 2 != 0
    case Register.moderation: moderation = value
    case Register.segmentCount: segmentCount = value & 0xFFFF
    case Register.table:
      table = table & ~0xFFFF_FFFF | UInt64(value & ~0x3F)
      restart()
    case Register.table + 4:
      table = table & 0xFFFF_FFFF | UInt64(value) << 32
      restart()
    case Register.dequeue:
      dequeue = dequeue & ~0xFFFF_FFFF | UInt64(value & ~8)
      if value & 8 != 0 { isHandlerBusy = false }
      remind()
    case Register.dequeue + 4:
      dequeue = dequeue & 0xFFFF_FFFF | UInt64(value) << 32
      remind()
    default: break
    }
  }

  private mutating func restart() {
    segments = []
    segment = 0
    index = 0
    cycle = true
    hasSaidFull = false
  }

  /// There are events that the guest has not seen, and it may not come back for them.
  private mutating func remind() {
    guard segments.indices.contains(segment), dequeue & ~0xF != place else { return }
    raise()
  }

  private mutating func raise() {
    guard !isHandlerBusy else { return }
    isPending = true
    isHandlerBusy = true
  }

  /// A message has gone out, which takes the pending bit with it.
  mutating func clearPending() {
    isPending = false
  }

  // MARK: Events

  private var place: UInt64 {
    segments[segment].start &+ index * XHCITransferRequest.byteCount
  }

  private mutating func loadTable(_ memory: GuestMemory) throws(XHCIMemoryFault) {
    guard segments.isEmpty, segmentCount > 0 else { return }
    guard segmentCount <= 1 << Self.maximumSegmentExponent else { throw XHCIMemoryFault() }
    for entry in 0..<UInt64(segmentCount) {
      let start: UInt64 = try memory.loadXHCI(at: table &+ 16 * entry)
      let count = UInt64(try memory.loadXHCI(at: table &+ 16 * entry &+ 8) as UInt16)
      guard Self.segmentByteCounts.contains(count) else { throw XHCIMemoryFault() }
      segments.append(Segment(start: start & ~0x3F, count: count))
    }
  }

  /// Whether a number of events has room. If not, the guest gets an event that says so, once, and
  /// nothing else happens until it has taken some.
  mutating func hasRoom(
    for count: UInt64, _ memory: GuestMemory
  ) throws(XHCIMemoryFault) -> Bool {
    try loadTable(memory)
    guard let free = freeCount else { return false }
    if free >= count + 1 {
      hasSaidFull = false
      return true
    }
    if free > 0, !hasSaidFull {
      hasSaidFull = true
      try post(
        XHCITransferRequest(
          parameter: 0, status: UInt32(XHCICompletion.eventRingFull.rawValue) << 24,
          control: UInt32(XHCITransferRequest.Kind.hostController.rawValue) << 10), memory)
    }
    return false
  }

  /// Nil for a ring that is not set up, or whose end the guest put elsewhere.
  private var freeCount: UInt64? {
    var total: UInt64 = 0
    var taken: UInt64?
    var given: UInt64 = 0
    let pointer = dequeue & ~0xF
    for (number, segment) in segments.enumerated() {
      if taken == nil, pointer >= segment.start,
        (pointer - segment.start) / XHCITransferRequest.byteCount < segment.count
      {
        taken = total + (pointer - segment.start) / XHCITransferRequest.byteCount
      }
      if number == self.segment { given = total + index }
      total += segment.count
    }
    guard let taken else { return nil }
    return total - 1 - (given + total - taken) % total
  }

  /// Puts an event on the ring; there is room.
  mutating func post(
    _ event: XHCITransferRequest, raises: Bool = true, _ memory: GuestMemory
  ) throws(XHCIMemoryFault) {
    let place = place
    try memory.writeXHCI(
      event.parameter.littleEndianBytes + event.status.littleEndianBytes, at: place)
    // Last, as the guest looks at its cycle bit.
    let control = event.control & ~1 | (cycle ? 1 : 0)
    try memory.writeXHCI(control.littleEndianBytes, at: place &+ 12)
    index += 1
    if index == segments[segment].count {
      index = 0
      segment += 1
      if segment == segments.count {
        segment = 0
        cycle.toggle()
      }
    }
    if raises { raise() }
  }
}

extension XHCIInterrupter {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.flag(&isPending)
    try transfer.flag(&isEnabled)
    try transfer.integer(&moderation)
    try transfer.integer(&segmentCount, in: 0...0xFFFF)
    try transfer.integer(&table)
    try transfer.integer(&dequeue)
    try transfer.flag(&isHandlerBusy)
    try transfer.flag(&hasSaidFull)
    try transfer.elements(
      &segments, maximumCount: 1 << Int(Self.maximumSegmentExponent),
      new: Segment(start: 0, count: Self.segmentByteCounts.lowerBound)
    ) { (transfer, segment) throws(StateError) in
      try transfer.integer(&segment.start)
      try transfer.integer(&segment.count, in: Self.segmentByteCounts)
    }
    try transfer.integer(&segment, in: 0...max(segments.count - 1, 0))
    // The place is in the ring, or 0 without one.
    let last = segments.isEmpty ? 0 : segments[segment].count - 1
    try transfer.integer(&index, in: 0...last)
    try transfer.flag(&cycle)
  }
}
