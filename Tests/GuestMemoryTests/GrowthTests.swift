import Glibc
import GuestMemory
import HostPages
import HostSystem
import Synchronization
import TestSupport
import Testing
import ZeroTracker

/// Memory that is added while it is used.
@Suite struct MemoryGrowthTests {
  private static let unit = GuestMemoryLayout.growthUnit

  private func memory(
    growing byteCount: UInt64 = 4 * unit, _ backing: MemoryBacking = .anonymous
  ) throws -> GuestMemory {
    let memory = try GuestMemory(
      layout: GuestMemoryLayout(ramByteCount: 16 * mebibyte, growthByteCount: byteCount),
      backing: backing, granularity: TrackingGranularity(byteCount: 4096))
    memory.tracker.attach(source: QuietGuest())
    return memory
  }

  private func grow(_ memory: GuestMemory, by byteCount: UInt64 = unit) -> MappedRegion? {
    memory.grow(by: byteCount) { _ in }
  }

  static let places: [(UInt64, UInt64)] = [
    (16 << 20, 0x1_0000_0000), (2 << 30, 0x1_0000_0000), ((2 << 30) + 4096, 0x1_0800_0000),
    (4 << 30, 0x1_8000_0000),
  ]

  @Test("above all RAM, from a multiple of 128 MiB on", arguments: places)
  func place(ramByteCount: UInt64, start: UInt64) throws {
    let layout = try GuestMemoryLayout(
      ramByteCount: ramByteCount, growthByteCount: 3 * Self.unit)
    #expect(layout.growth?.start == GPA(start))
    #expect(layout.growth?.byteCount == 3 * Self.unit)
    #expect(layout.end == GPA(start + 3 * Self.unit))
    #expect(layout.ramByteCount == ramByteCount)
    #expect(!layout.contains(GPA(start), byteCount: 1))
    #expect(layout.growthStep == Self.unit)
    let without = try GuestMemoryLayout(ramByteCount: ramByteCount)
    #expect(without.growth == nil)
    #expect(layout.regions == without.regions)
  }

  @Test("other sizes", arguments: [4096, 127 << 20, 4 << 40, .max] as [UInt64])
  func sizes(byteCount: UInt64) {
    #expect(throws: GuestMemoryError.growth(byteCount: byteCount)) {
      try GuestMemoryLayout(ramByteCount: 16 * mebibyte, growthByteCount: byteCount)
    }
  }

  /// Each is a memory slot.
  @Test("in 256 pieces at most", arguments: [1, 256, 257, 1000, 32_000] as [UInt64])
  func steps(count: UInt64) throws {
    let layout = try GuestMemoryLayout(
      ramByteCount: 16 * mebibyte, growthByteCount: count * Self.unit)
    #expect(layout.growthStep.isMultiple(of: Self.unit))
    #expect((count * Self.unit + layout.growthStep - 1) / layout.growthStep <= 256)
  }

  @Test("what is not added is no RAM", arguments: [.anonymous, .memfd] as [MemoryBacking])
  func noRAMBefore(backing: MemoryBacking) throws {
    let memory = try memory(backing)
    let start = GPA(0x1_0000_0000)
    #expect(!memory.isRAM(start, byteCount: 1))
    #expect(throws: GuestMemoryError.self) { try memory.store(1 as UInt8, at: start) }
    #expect(throws: GuestMemoryError.self) { try memory.discard(at: start, byteCount: 4096) }
    #expect(throws: GuestMemoryError.self) {
      try memory.claim(at: start, byteCount: 4096, owner: "a test")
    }
    #expect(memory.giveBack(PageRange(start: start.page, pageCount: 64)) == 0)
    #expect(memory.withheldPages == [])
    #expect(memory.ramByteCount == 16 * mebibyte)

    #expect(grow(memory)?.start == start)
    #expect(memory.ramByteCount == 16 * mebibyte + Self.unit)
    #expect(memory.regions.map(\.byteCount) == [16 * mebibyte, Self.unit])
    let last = GPA(start.rawValue + Self.unit - 8)
    #expect(memory.isRAM(last, byteCount: 8))
    #expect(!memory.isRAM(last, byteCount: 9))
    for (address, byteCount) in [(UInt64.max, 1), (start.rawValue, -1), (start.rawValue, .max)] {
      #expect(!memory.isRAM(GPA(address), byteCount: byteCount))
    }
    try memory.store(0x1122 as UInt64, at: last)
    #expect(try memory.load(at: last, as: UInt64.self) == 0x1122)
    #expect(memory.tracker.snapshot().total.touched == 1)
    #expect(try memory.firstNonZeroPage(in: PageRange(start: start.page, end: last.page)) == nil)
    #expect(
      try memory.firstNonZeroPage(in: PageRange(start: start.page, pageCount: 1 << 20)) == last.page
    )
    try memory.discard(at: GPA(start.rawValue + Self.unit - 4096), byteCount: 4096)
    #expect(try memory.load(at: last, as: UInt64.self) == 0)
    #expect(memory.tracker.snapshot().total.touched == 0)
    _ = try memory.claim(at: start, byteCount: 1, owner: "a test")
    #expect(memory.tracker.snapshot().total.claimed == 1)

    // The next piece adjoins.
    #expect(grow(memory, by: 2 * Self.unit)?.start == GPA(start.rawValue + Self.unit))
    #expect(memory.isRAM(last, byteCount: 4096))
    for byteCount in [0, 4096, 2 * Self.unit, .max / Self.unit * Self.unit] {
      #expect(grow(memory, by: byteCount) == nil)
    }
    #expect(grow(memory) != nil)
    #expect(grow(memory) == nil)
    #expect(try makeMemory().grow(by: Self.unit) { _ in } == nil)
  }

  @Test("a piece that the host refuses comes again")
  func refusals() throws {
    struct Refusal: Error, Equatable {}
    let memory = try memory()
    #expect(throws: Refusal()) {
      _ = try memory.grow(by: Self.unit) { (piece) throws(Refusal) in
        // As a guest that had it for a moment.
        // SAFETY: a byte of the piece, which lives as long as the memory.
        unsafe UnsafeMutablePointer<UInt8>(bitPattern: piece.hostAddress + 77)?.pointee = 1
        throw Refusal()
      }
    }
    #expect(memory.addedByteCount == 0)
    #expect(!memory.isRAM(GPA(0x1_0000_0000), byteCount: 1))
    #expect(grow(memory)?.start == GPA(0x1_0000_0000))
    #expect(try memory.load(at: GPA(0x1_0000_0000 + 77), as: UInt8.self) == 0)
  }

  @Test(
    "a source that looks at the pages",
    .enabled(if: PopulatedPages.obstacle() == nil, "needs PAGEMAP_SCAN"),
    arguments: [.anonymous, .memfd] as [MemoryBacking])
  func looking(backing: MemoryBacking) throws {
    let memory = try GuestMemory(
      layout: GuestMemoryLayout(ramByteCount: 16 * mebibyte, growthByteCount: 2 * Self.unit),
      backing: backing, granularity: TrackingGranularity(byteCount: 4096))
    let source = try memory.populationSource()
    memory.registerSlots { _ in source }
    let piece = try #require(grow(memory))
    let pointer = unsafe UnsafeMutablePointer<UInt8>(bitPattern: piece.hostAddress + 0x5000)
    // SAFETY: a byte of the piece, which lives as long as the memory.
    unsafe pointer?.pointee = 1
    let reported = memory.tracker.zeroedRanges(replyPage: nil, limit: .max)
    #expect(!reported.contains { $0.contains(GPN(rawValue: 0x10_0005)) })
    #expect(reported.reduce(0) { $0 + $1.pageCount } == memory.ramByteCount / 4096 - 1)
  }

  /// Writers that take whatever is RAM, answers, discards and growth at the same time: a page that
  /// was written before an answer began, and not discarded since, is not in it.
  @Test("the law, while it grows", .timeLimit(.minutes(5)))
  func theLaw() throws {
    let memory = try memory(growing: 8 * Self.unit)
    let first: UInt64 = 0x10_0000
    let isOver = Atomic<Bool>(false)
    /// Numbers of pages of which all bytes are there.
    let written = Guarded<Set<UInt64>>([])
    let answerCount = Atomic<Int>(0)
    let judgedCount = Atomic<Int>(0)
    func writer(_ seed: UInt64) -> @Sendable () -> Void {
      {
        var random = SeededGenerator(seed: seed)
        while !isOver.load(ordering: .relaxed) {
          // Of each 128 MiB some pages, so that many are written again.
          let page =
            first + UInt64.random(in: 0..<8, using: &random) << 15
            + UInt64.random(in: 0..<64, using: &random)
          let address = GPA(page << 12 + 8 * UInt64.random(in: 0..<512, using: &random))
          guard memory.isRAM(address, byteCount: 8) else { continue }
          // RAM stays RAM.
          try! memory.store(.random(in: 1 ... .max, using: &random) as UInt64, at: address)
          written.withLock { _ = $0.insert(page) }
        }
      }
    }
    TestThreads.run([
      writer(1), writer(2),
      {
        while !isOver.load(ordering: .relaxed) {
          let before = written.withLock { $0 }
          let ranges = memory.tracker.zeroedRanges(replyPage: nil, limit: .max)
          let lies = before.filter { page in
            ranges.contains { $0.contains(GPN(rawValue: page)) }
          }
          #expect(lies.isEmpty)
          answerCount.add(1, ordering: .relaxed)
          judgedCount.add(before.count, ordering: .relaxed)
        }
      },
      {
        for count in 1...8 {
          let answers = answerCount.load(ordering: .relaxed)
          while answerCount.load(ordering: .relaxed) < answers + 20 { sched_yield() }
          #expect(memory.grow(by: Self.unit) { _ in } != nil, "piece \(count)")
        }
        let answers = answerCount.load(ordering: .relaxed)
        while answerCount.load(ordering: .relaxed) < answers + 20 { sched_yield() }
        isOver.store(true, ordering: .relaxed)
      },
    ])
    #expect(judgedCount.load(ordering: .relaxed) > 1000)
  }
}
