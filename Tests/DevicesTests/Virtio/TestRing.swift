import Bytes
import GuestMemory
import Synchronization
import Testing

@testable import Devices

/// A driver's side of a virtqueue, of either kind, with its rings in guest memory. Descriptors are
/// used in turn, one for each buffer.
struct TestRing {
  /// One buffer of a request.
  struct Buffer: Equatable {
    var address: UInt64
    var byteCount: UInt32
    var isWritten = false
  }

  struct Answer: Equatable {
    var identifier: UInt16
    var byteCount: UInt32
  }

  let memory: GuestMemory
  let size: UInt16
  let isPacked: Bool
  /// Descriptors, driver area, device area: a page each; behind them the tables.
  let start: UInt64
  var descriptors: UInt64 { start }
  var driver: UInt64 { start + 0x1_0000 }
  var device: UInt64 { start + 0x2_0000 }
  var tables: UInt64 { start + 0x3_0000 }
  /// Where the next descriptor goes, the lap, and what was made available and taken back.
  var next: UInt16 = 0
  var wrap = true
  var available: UInt16 = 0
  var taken: UInt16 = 0
  var takenPlace: UInt16 = 0
  var takenWrap = true
  /// Entries of each request of a packed ring.
  var entryCounts: [UInt16: UInt16] = [:]

  init(_ memory: GuestMemory, size: UInt16, isPacked: Bool, start: UInt64 = 0x10_0000) throws {
    self.memory = memory
    self.size = size
    self.isPacked = isPacked
    self.start = start
    try memory.fill(at: GPA(start), byteCount: 0x4_0000, with: 0)
  }

  func layout(eventIndex: Bool = false, indirect: Bool = true) -> VirtqueueLayout {
    VirtqueueLayout(
      size: size, descriptors: GPA(descriptors), driver: GPA(driver), device: GPA(device),
      hasIndirectDescriptors: indirect, hasEventIndex: eventIndex)
  }

  func queue(eventIndex: Bool = false, indirect: Bool = true) throws -> Virtqueue {
    try Virtqueue(
      layout(eventIndex: eventIndex, indirect: indirect), isPacked: isPacked, memory)
  }

  /// Writes descriptor `index` of a table.
  func setDescriptor(
    _ index: UInt16, of table: UInt64, _ address: UInt64, _ byteCount: UInt32, flags: UInt16,
    link: UInt16 = 0
  ) throws {
    let place = table + 16 * UInt64(index)
    try memory.store(address, at: GPA(place))
    try memory.store(byteCount, at: GPA(place + 8))
    try memory.store(isPacked ? link : flags, at: GPA(place + 12))
    try memory.store(isPacked ? flags : link, at: GPA(place + 14))
  }

  /// Makes a request available.
  ///
  /// - Returns: what the answer will name it by.
  @discardableResult
  mutating func offer(_ buffers: [Buffer], indirect: Bool = false) throws -> UInt16 {
    if indirect {
      let table = tables + 0x400 * UInt64(next)
      for (index, buffer) in buffers.enumerated() {
        let isLast = index == buffers.count - 1
        try setDescriptor(
          UInt16(index), of: table, buffer.address, buffer.byteCount,
          flags: (buffer.isWritten ? 2 : 0) | (isLast || isPacked ? 0 : 1),
          link: UInt16(index) + 1)
      }
      return try offerEntries([(table, UInt32(16 * buffers.count), 4)])
    }
    return try offerEntries(buffers.map { ($0.address, $0.byteCount, $0.isWritten ? 2 : 0) })
  }

  /// The same with flags as they are, NEXT apart.
  @discardableResult
  mutating func offerEntries(_ entries: [(UInt64, UInt32, UInt16)]) throws -> UInt16 {
    let head = next
    var laps: [(UInt16, Bool)] = []
    for _ in entries {
      laps.append((next, wrap))
      next += 1
      if next == size {
        next = 0
        wrap.toggle()
      }
    }
    // The first one last, as its flags make the request available.
    for (index, entry) in entries.enumerated().reversed() {
      let (place, wrap) = laps[index]
      let more: UInt16 = index == entries.count - 1 ? 0 : 1
      let lap: UInt16 = isPacked ? (wrap ? 0x80 : 0x8000) : 0
      let link = isPacked ? head : (place + 1) % size
      try setDescriptor(
        place, of: descriptors, entry.0, entry.1, flags: entry.2 | more | lap, link: link)
    }
    entryCounts[head] = UInt16(entries.count)
    if !isPacked { try announce(head) }
    return head
  }

  /// Puts a head into a split ring's available ring.
  mutating func announce(_ head: UInt16) throws {
    try memory.store(head, at: GPA(driver + 4 + 2 * UInt64(available % size)))
    available &+= 1
    try memory.store(available, at: GPA(driver + 2))
  }

  /// Takes the answers that the device has shown.
  mutating func answers() throws -> [Answer] {
    var answers: [Answer] = []
    while let answer = try isPacked ? packedAnswer() : splitAnswer() { answers.append(answer) }
    return answers
  }

  private mutating func splitAnswer() throws -> Answer? {
    let index: UInt16 = try memory.load(at: GPA(device + 2))
    guard index != taken else { return nil }
    let place = GPA(device + 4 + 8 * UInt64(taken % size))
    let entry: UInt64 = try memory.load(at: place)
    taken &+= 1
    return Answer(
      identifier: UInt16(truncatingIfNeeded: entry), byteCount: UInt32(entry >> 32))
  }

  private mutating func packedAnswer() throws -> Answer? {
    let place = descriptors + 16 * UInt64(takenPlace)
    let flags: UInt16 = try memory.load(at: GPA(place + 14))
    guard (flags & 0x80 != 0) == takenWrap, (flags & 0x8000 != 0) == takenWrap else { return nil }
    let answer = Answer(
      identifier: try memory.load(at: GPA(place + 12)),
      byteCount: try memory.load(at: GPA(place + 8)))
    takenPlace += entryCounts[answer.identifier] ?? 1
    if takenPlace >= size {
      takenPlace -= size
      takenWrap.toggle()
    }
    return answer
  }

  // MARK: Events

  /// Asks for an interrupt at the answer that comes `count` entries after those taken.
  func askForInterrupt(after count: UInt16) throws {
    guard isPacked else {
      try memory.store(taken &+ count, at: GPA(driver + 4 + 2 * UInt64(size)))
      return
    }
    var (place, wrap) = (takenPlace + count, takenWrap)
    if place >= size {
      place -= size
      wrap.toggle()
    }
    try memory.store(UInt32(place) | (wrap ? 0x8000 : 0) | 2 << 16, at: GPA(driver))
  }

  /// Asks for none, without the event index.
  func askForNoInterrupt() throws {
    if isPacked {
      try memory.store(UInt32(1) << 16, at: GPA(driver))
    } else {
      try memory.store(UInt16(1), at: GPA(driver))
    }
  }

  /// Whether the device wants to hear of the entry at a place of the first lap, by the event index.
  func isArmed(at place: UInt16) throws -> Bool {
    if isPacked {
      return try memory.load(at: GPA(device), as: UInt32.self) == UInt32(place) | 0x8000 | 2 << 16
    }
    return try memory.load(at: GPA(device + 4 + 8 * UInt64(size)), as: UInt16.self) == place
  }

  /// Whether the device wants to hear of the request that was offered last, one entry long.
  func mustNotify(eventIndex: Bool) throws -> Bool {
    if isPacked {
      let event: UInt32 = try memory.load(at: GPA(device))
      guard event >> 16 == 2 else { return event >> 16 == 0 }
      let last = next == 0 ? size - 1 : next - 1
      return UInt16(event & 0x7FFF) == last
    }
    guard eventIndex else {
      let flags: UInt16 = try memory.load(at: GPA(device))
      return flags == 0
    }
    let event: UInt16 = try memory.load(at: GPA(device + 4 + 8 * UInt64(size)))
    return event == available &- 1
  }
}
