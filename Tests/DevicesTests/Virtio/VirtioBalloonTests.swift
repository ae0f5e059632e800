import Bytes
import DeviceKit
import Glibc
import GuestMemory
import HostPages
import HostSystem
import TestSupport
import Testing
import ZeroTracker

@testable import Devices

/// The memory balloon (virtio 1.2 §5.5): what the host gets back, and what hostile drivers do.
struct VirtioBalloonTests {
  private typealias Offset = VirtioRegisters.Offset

  private static let mebibyte: UInt64 = 1 << 20
  private static let all: VirtioFeatures = VirtioFeatures.ofBalloon.union(.version1)
  /// Where the driver has its lists, and the pages that it gives.
  private static let lists: UInt64 = 0x30_0000
  private static let firstPage: UInt32 = 0x400
  private static let packed: [VirtioFeatures] = [
    [], [.packedRing], [.eventIndex, .indirectDescriptors],
  ]

  /// A driver with a ring for each queue that its features give it.
  private final class BalloonDriver {
    let base: VirtioTestDriver
    let balloon: Balloon
    var rings: [TestRing] = []
    var memory: GuestMemory { base.memory }

    init(
      _ features: VirtioFeatures, targetPageCount: UInt32 = 0, poison: UInt32 = 0,
      memory: GuestMemory? = nil, vector: UInt16 = .max
    ) throws {
      let balloon = Balloon(targetPageCount: targetPageCount)
      self.balloon = balloon
      base = try VirtioTestDriver(
        memory: try memory
          ?? GuestMemory(
            layout: GuestMemoryLayout(ramByteCount: 16 * mebibyte),
            granularity: TrackingGranularity(byteCount: 4096)),
        role: .balloon
      ) { .balloon(balloon, context: $0) }
      try begin(features, poison: poison, vector: vector)
    }

    /// As drivers begin, also after a reset.
    func begin(_ features: VirtioFeatures, poison: UInt32 = 0, vector: UInt16 = .max) throws {
      try #require(base.negotiate(features))
      base.write(4, 12, 4, UInt64(poison))
      rings = []
      let count =
        2
        + [VirtioFeatures.balloonStatistics, .pageReporting].count {
          features.contains($0)
        }
      for queue in 0..<count {
        let ring = try TestRing(
          memory, size: 32, isPacked: features.contains(.packedRing),
          start: 0x10_0000 + 0x4_0000 * UInt64(queue))
        base.enable(queue, ring, vector: vector)
        rings.append(ring)
      }
      base.ready()
    }

    /// Offers buffers and waits for their answer.
    @discardableResult
    func send(_ queue: Int, _ buffers: [TestRing.Buffer], indirect: Bool = false) throws
      -> TestRing.Answer
    {
      try rings[queue].offer(buffers, indirect: indirect)
      base.notify(queue)
      var answers: [TestRing.Answer] = []
      try waitUntil {
        answers += try rings[queue].answers()
        return !answers.isEmpty
      }
      return try #require(answers.count == 1 ? answers.first : nil)
    }

    /// Gives pages by their numbers.
    func give(_ queue: Int, _ pages: [UInt32], indirect: Bool = false) throws {
      try memory.write(pages.littleEndianBytes, at: GPA(lists))
      let answer = try send(
        queue, [.init(address: lists, byteCount: UInt32(4 * pages.count))], indirect: indirect)
      #expect(answer.byteCount == 0)
    }

    func fill(_ pages: Range<UInt32>) throws {
      try memory.fill(
        at: GPA(UInt64(pages.lowerBound) << 12), byteCount: pages.count << 12, with: 0xA5)
    }

    /// Of each page, whether it is all zero; and else all as it was filled.
    func isZero(_ page: UInt32) throws -> Bool {
      let bytes = try memory.read(at: GPA(UInt64(page) << 12), byteCount: 4096)
      let isZero = bytes[0] == 0
      // As one piece: a closure for each byte takes a debug build minutes.
      let isWhole = unsafe bytes.withUnsafeBytes { page in
        unsafe memcmp(page.baseAddress!, page.baseAddress! + 1, page.count - 1) == 0
      }
      #expect(isWhole && (isZero || bytes[0] == 0xA5), "page \(page) is torn")
      return isZero
    }

    func touchedCount(_ pages: Range<UInt32>) -> UInt64 {
      memory.tracker.snapshot().counts(
        in: PageRange(
          start: GPN(rawValue: UInt64(pages.lowerBound)), pageCount: UInt64(pages.count))
      ).touched
    }

    func config(_ offset: Int) -> UInt64 { base.read(4, offset, 4) }
  }

  /// A thread in the middle of a write.
  private final class Writer: Sendable {
    let isInside = Guarded(false)
    let isOver = Guarded(false)
  }

  // MARK: What it is

  @Test func itsIdentityFeaturesAndConfiguration() throws {
    let driver = try BalloonDriver(Self.all, targetPageCount: 256)
    #expect(driver.base.configuration(0, 4) == 0x1045_1AF4)
    // STATS_VQ, DEFLATE_ON_OOM, PAGE_POISON, PAGE_REPORTING; no FREE_PAGE_HINT.
    #expect(driver.base.offered.rawValue & 0xFF_FFFF == 0x36)
    #expect(driver.base.common(Offset.queueCount, 2) == 4)
    #expect([0, 4, 8, 12, 16].map { driver.config($0) } == [256, 0, 0, 0, 0])
    driver.base.write(4, 4, 4, 100)
    driver.base.write(4, 12, 4, 0xAAAA_AAAA)
    // Not the driver's.
    driver.base.write(4, 0, 4, 7)
    driver.base.write(4, 8, 4, 7)
    driver.base.write(4, 4, 2, 7)
    driver.base.write(4, 250, 8, 7)
    #expect([0, 4, 8, 12].map { driver.config($0) } == [256, 100, 0, 0xAAAA_AAAA])
    #expect(driver.balloon.activity.actualPageCount == 100)
    #expect(driver.balloon.activity.hasDriver)
    driver.base.status = []
    #expect([0, 4, 8, 12].map { driver.config($0) } == [256, 0, 0, 0])
    #expect(!driver.balloon.activity.hasDriver)
  }

  @Test func whoListensIsToldWhenTheTargetIsReached() throws {
    let driver = try BalloonDriver(Self.all)
    let reached = Recorder<UInt32>()
    driver.balloon.targetPageCount = 256
    driver.balloon.setListener { reached.append($0) }
    for count in [100, 256, 256, 200, 256] as [UInt64] { driver.base.write(4, 4, 4, count) }
    #expect(reached.values == [256, 256])
    driver.balloon.targetPageCount = 10
    driver.base.write(4, 4, 4, 10)
    #expect(reached.values == [256, 256, 10])
  }

  @Test func aNewTargetInterrupts() throws {
    let driver = try BalloonDriver(Self.all)
    driver.base.useMSIX()
    driver.base.setCommon(Offset.configurationVector, 2, 4)
    let generation = driver.base.common(Offset.generation, 1)
    driver.balloon.targetPageCount = 512
    #expect(driver.base.sink.messages.map(\.data) == [4])
    #expect(driver.base.common(Offset.generation, 1) == generation + 1)
    #expect(driver.config(0) == 512)
    driver.balloon.targetPageCount = 512
    #expect(driver.base.sink.messages.count == 1, "it is the same")
    driver.base.device.stop()
    driver.balloon.targetPageCount = 0
    #expect(driver.base.sink.messages.count == 1, "its machine is over")
  }

  // MARK: Pages

  @Test(arguments: packed)
  func inflatedPagesAreZeroAndReportableAgain(ring: VirtioFeatures) throws {
    let driver = try BalloonDriver(Self.all.union(ring))
    let pages = Self.firstPage..<(Self.firstPage + 64)
    try driver.fill(pages)
    #expect(driver.touchedCount(pages) == 64)
    // From behind, as Linux does, with one page twice, and without some.
    let given = pages.reversed().filter { $0 % 16 != 3 }
    try driver.give(0, given + [pages.lowerBound], indirect: ring.contains(.indirectDescriptors))
    for page in pages { #expect(try driver.isZero(page) == (page % 16 != 3)) }
    #expect(driver.touchedCount(pages) == 4)
    try waitUntil { driver.balloon.activity.givenBackByteCount == 60 << 12 }
    #expect(driver.balloon.activity.keptPageCount == 0)
    // Deflated pages are there when they are used.
    try driver.give(1, given)
    try driver.fill(pages)
    #expect(driver.touchedCount(pages) == 64)
    #expect(driver.base.status.rawValue == 0x0F)
  }

  @Test(.enabled(if: PopulatedPages.obstacle() == nil, "needs PAGEMAP_SCAN"))
  func answersHaveThemAgain() throws {
    let memory = try GuestMemory(layout: GuestMemoryLayout(ramByteCount: 16 * Self.mebibyte))
    memory.tracker.attach(source: try memory.populationSource())
    let driver = try BalloonDriver(Self.all, memory: memory)
    let pages = Self.firstPage..<(Self.firstPage + 1024)
    try driver.fill(pages)
    func reported() -> Set<UInt64> {
      Set(
        memory.tracker.zeroedRanges(replyPage: nil, limit: .max).flatMap {
          $0.start.rawValue..<($0.start.rawValue + $0.pageCount)
        })
    }
    let own = Set(pages.map(UInt64.init))
    #expect(reported().isDisjoint(with: own))
    try driver.give(0, Array(pages))
    #expect(reported().isSuperset(of: own))
  }

  /// Numbers of queues have no gaps: without statistics reports come by queue 2.
  @Test(arguments: [false, true], [UInt32?.none, 0, 0xAAAA_AAAA])
  func reportedPages(hasStatistics: Bool, poison: UInt32?) throws {
    var features: VirtioFeatures = [.version1, .pageReporting]
    if hasStatistics { features.insert(.balloonStatistics) }
    if poison != nil { features.insert(.pagePoison) }
    let driver = try BalloonDriver(features, poison: poison ?? 0)
    let pages = Self.firstPage..<(Self.firstPage + 48)
    try driver.fill(pages)
    let start = UInt64(Self.firstPage) << 12
    let answer = try driver.send(
      hasStatistics ? 3 : 2,
      [
        .init(address: start, byteCount: 16 << 12, isWritten: true),
        .init(address: start + 32 << 12, byteCount: 16 << 12, isWritten: true),
      ])
    #expect(answer.byteCount == 0)
    let mayZero = (poison ?? 0) == 0
    for page in pages {
      let isReported = (page - Self.firstPage) / 16 != 1
      #expect(try driver.isZero(page) == (mayZero && isReported), "page \(page)")
    }
    #expect(driver.touchedCount(pages) == (mayZero ? 16 : 48))
    try waitUntil {
      let activity = driver.balloon.activity
      return activity.givenBackByteCount == (mayZero ? 32 << 12 : 0)
        && activity.keptPageCount == (mayZero ? 0 : 32)
    }
  }

  /// A poison without the feature is none.
  @Test func poisonOfADriverWithoutIt() throws {
    let driver = try BalloonDriver([.version1, .pageReporting], poison: 0xAAAA_AAAA)
    try driver.fill(0x400..<0x410)
    try driver.send(2, [.init(address: 0x40_0000, byteCount: 16 << 12, isWritten: true)])
    #expect(try driver.isZero(0x400))
  }

  @Test func preallocatedMemoryStays() throws {
    let memory = try GuestMemory(
      layout: GuestMemoryLayout(ramByteCount: 8 * Self.mebibyte), preallocated: true)
    let driver = try BalloonDriver(Self.all, memory: memory)
    try driver.fill(0x400..<0x420)
    try driver.give(0, Array(0x400..<0x410))
    try driver.send(3, [.init(address: 0x41_0000, byteCount: 16 << 12, isWritten: true)])
    for page in UInt32(0x400)..<0x420 { #expect(try !driver.isZero(page)) }
    try waitUntil { driver.balloon.activity.keptPageCount == 32 }
    #expect(driver.balloon.activity.givenBackByteCount == 0)
  }

  @Test func memoryOfAFile() throws {
    let memory = try GuestMemory(
      layout: GuestMemoryLayout(ramByteCount: 8 * Self.mebibyte), backing: .memfd)
    let driver = try BalloonDriver(Self.all, memory: memory)
    try driver.fill(0x400..<0x500)
    let before = try memory.residentByteCount()
    try driver.give(0, Array(0x400..<0x500))
    // The list itself is new, and so may be parts of the rings.
    #expect(try memory.residentByteCount() <= before - 1 << 20 + 16 << 12)
    for page in UInt32(0x400)..<0x500 { #expect(try driver.isZero(page)) }
  }

  // MARK: Statistics

  @Test func statisticsAreReadAndAskedForAgain() throws {
    let driver = try BalloonDriver(Self.all)
    func write(_ entries: [(UInt16, UInt64)]) throws {
      try driver.memory.write(
        entries.flatMap { $0.littleEndianBytes + $1.littleEndianBytes }, at: GPA(Self.lists))
    }
    func offer(_ byteCount: UInt32) throws {
      try driver.rings[2].offer([.init(address: Self.lists, byteCount: byteCount)])
      driver.base.notify(2)
    }
    try write([(4, 1000), (5, 4000), (6, .max), (0x9999, 1), (4, 2000)])
    try offer(53)
    try waitUntil { driver.balloon.activity.statistics != nil }
    // Whether the look above was the first within the second or not: the buffer comes back.
    try waitUntil {
      _ = driver.balloon.activity
      return try !driver.rings[2].answers().isEmpty
    }
    let first = try #require(driver.balloon.activity.statistics)
    #expect([first[.free], first[.total], first[.available]] == [2000, 4000, nil])
    #expect(first[.init(rawValue: 0x9999)] == nil)
    try write([(4, 3000)])
    try offer(10)
    try waitUntil { driver.balloon.activity.statistics?[.free] == 3000 }
    #expect(driver.balloon.activity.statistics?[.total] == nil)
    // Two at once: the first one goes back at once.
    _ = try driver.rings[2].answers()
    try offer(0)
    try waitUntil { try !driver.rings[2].answers().isEmpty }
  }

  /// A buffer of before is not answered in the queue of after.
  @Test(arguments: [false, true])
  func aResetForgetsTheBuffer(ofTheQueueAlone: Bool) throws {
    let features = Self.all.union(.ringReset)
    let driver = try BalloonDriver(features)
    try driver.rings[2].offer([.init(address: Self.lists, byteCount: 10)])
    driver.base.notify(2)
    try waitUntil { driver.balloon.activity.statistics != nil }
    if ofTheQueueAlone {
      driver.base.setCommon(Offset.queueSelect, 2, 2)
      driver.base.setCommon(Offset.queueReset, 2, 1)
      driver.rings[2] = try TestRing(driver.memory, size: 32, isPacked: false, start: 0x18_0000)
      driver.base.enable(2, driver.rings[2])
    } else {
      try driver.begin(features)
      #expect(driver.balloon.activity.statistics == nil)
    }
    let asked = ContinuousClock.now
    while ContinuousClock.now < asked + .milliseconds(1200) {
      _ = driver.balloon.activity
      TestThreads.nap(microseconds: 20_000)
    }
    #expect(try driver.rings[2].answers().isEmpty)
    #expect(driver.base.status.rawValue == 0x0F)
  }

  // MARK: Hostile drivers

  @Test func pagesThatAreNone() throws {
    let driver = try BalloonDriver(Self.all)
    try driver.fill(0x400..<0x404)
    // RAM ends at page 0x1000.
    try driver.give(0, [0xFFFF_FFFF, 0x400, 0x1000, 0xFFF, 0x8000_0000, 0x402])
    for page in UInt32(0x400)..<0x404 { #expect(try driver.isZero(page) == (page % 2 == 0)) }
    try waitUntil { driver.balloon.activity.keptPageCount == 3 }
    #expect(driver.balloon.activity.givenBackByteCount == 3 << 12)
  }

  @Test func listsOfNoGoodLength() throws {
    let driver = try BalloonDriver(Self.all)
    try driver.fill(0x400..<0x404)
    try driver.memory.write(
      [0x400, 0x401, 0x402].map { UInt32($0) }.littleEndianBytes, at: GPA(Self.lists))
    // Two and a half, in pieces; nothing; what the device would have to write.
    try driver.send(
      0,
      [
        .init(address: Self.lists, byteCount: 3), .init(address: Self.lists + 3, byteCount: 1),
        .init(address: Self.lists + 4, byteCount: 6),
      ])
    try driver.send(0, [.init(address: Self.lists, byteCount: 0)])
    try driver.send(0, [.init(address: 0x40_3000, byteCount: 4096, isWritten: true)])
    try driver.send(1, [.init(address: 0x40_3000, byteCount: 1, isWritten: true)])
    for page in UInt32(0x400)..<0x404 { #expect(try driver.isZero(page) == (page < 0x402)) }
    try waitUntil { driver.balloon.activity.keptPageCount == 1 }
  }

  /// Millions of numbers in a chain: a bounded part of them counts.
  @Test func tooManyPages() throws {
    let driver = try BalloonDriver(Self.all)
    let limit = UInt64(VirtioBalloonServer.maximumPageCount)
    // The list is memory of zeros, 8 MiB of it, 16 times: page 0 and nothing else.
    try driver.memory.fill(at: GPA(0), byteCount: 4096, with: 0xA5)
    let buffers = (0..<16).map { _ in TestRing.Buffer(address: 0x80_0000, byteCount: 8 << 20) }
    try driver.send(0, buffers)
    #expect(try driver.isZero(0))
    try waitUntil { driver.balloon.activity.keptPageCount == 32 << 20 - limit }
    #expect(driver.balloon.activity.givenBackByteCount == 4096)
  }

  @Test func reportsThatAreNoPages() throws {
    let driver = try BalloonDriver(Self.all)
    try driver.fill(0x400..<0x408)
    try driver.send(
      3,
      [
        // What the driver would have read counts for nothing.
        .init(address: 0x40_7000, byteCount: 4096),
        .init(address: 0x40_0800, byteCount: 4096, isWritten: true),
        .init(address: 0x40_2000, byteCount: 4095, isWritten: true),
        .init(address: 0x40_4000, byteCount: 4096, isWritten: true),
        .init(address: 0x40_4000, byteCount: 4096, isWritten: true),
      ])
    for page in UInt32(0x400)..<0x408 { #expect(try driver.isZero(page) == (page == 0x404)) }
    try waitUntil { driver.balloon.activity.givenBackByteCount == 2 << 12 }
  }

  /// The whole of memory, as often as a chain has room, with the rings and the chain in it.
  @Test func everythingWithItsOwnRings() throws {
    let driver = try BalloonDriver(Self.all)
    let buffers = (0..<31).map { _ in
      TestRing.Buffer(address: 0, byteCount: 16 << 20, isWritten: true)
    }
    try driver.rings[3].offer(buffers)
    driver.base.notify(3)
    try waitUntil { driver.balloon.activity.givenBackByteCount == 31 << 24 }
    // A reset brings it back.
    try driver.begin(Self.all)
    try driver.fill(0x400..<0x401)
    try driver.give(0, [0x400])
    #expect(try driver.isZero(0x400))
  }

  /// Lent memory is never reported again; its bytes are the guest's to lose.
  @Test func claimedPagesStayWithheld() throws {
    let driver = try BalloonDriver(Self.all)
    _ = try driver.memory.claim(at: GPA(0x40_0000), byteCount: 4096, owner: "test")
    try driver.fill(0x400..<0x402)
    try driver.give(0, [0x400, 0x401])
    #expect(driver.touchedCount(0x400..<0x401) == 1)
    #expect(driver.touchedCount(0x401..<0x402) == 0)
  }

  /// Queues that a driver has no features for are left alone.
  @Test func aQueueTooMany() throws {
    let driver = try BalloonDriver([.version1, .balloonStatistics, .ringReset])
    var ring = try TestRing(driver.memory, size: 32, isPacked: false, start: 0x1C_0000)
    driver.base.enable(3, ring)
    try driver.fill(0x400..<0x401)
    try ring.offer([.init(address: 0x40_0000, byteCount: 4096, isWritten: true)])
    driver.base.notify(3)
    // The thread is past it when it has done this.
    try driver.give(1, [0x400])
    #expect(try !driver.isZero(0x400))
    #expect(try ring.answers().isEmpty)
  }

  /// Writers of guest memory that do not leave keep pages where they are; the driver is answered.
  @Test func pagesInUseByADevice() throws {
    let driver = try BalloonDriver(Self.all)
    try driver.fill(0x400..<0x410)
    let writer = Writer()
    let memory = driver.memory
    TestThreads.start {
      memory.withMutableBytes(at: GPA(0x80_0000), byteCount: 8) { _ in
        writer.isInside.withLock { $0 = true }
        while !writer.isOver.withLock({ $0 }) { TestThreads.nap(microseconds: 1000) }
      }
      writer.isInside.withLock { $0 = false }
    }
    try waitUntil { writer.isInside.withLock { $0 } }
    // The list was written before: this thread would have to wait at the gate.
    try driver.memory.write([UInt32(0x408), 0x400, 0x40C].littleEndianBytes, at: GPA(Self.lists))
    try driver.send(0, [.init(address: Self.lists, byteCount: 12)])
    writer.isOver.withLock { $0 = true }
    for page in UInt32(0x400)..<0x410 { #expect(try !driver.isZero(page)) }
    try waitUntil {
      driver.balloon.activity.keptPageCount == 3 && !writer.isInside.withLock { $0 }
    }
    try driver.give(0, [0x400])
    #expect(try driver.isZero(0x400))
  }

  /// Resets while pages are given: nothing is given for the driver of before.
  @Test func resetsInTheMiddle() throws {
    let driver = try BalloonDriver(Self.all)
    let all = Array(UInt32(0x400)..<0x800)
    try driver.memory.write(all.littleEndianBytes, at: GPA(Self.lists))
    for round in 0..<30 {
      try driver.fill(0x400..<0x800)
      try driver.rings[0].offer([.init(address: Self.lists, byteCount: 4096)])
      driver.base.notify(0)
      TestThreads.nap(microseconds: round * 20)
      driver.base.status = []
      // From here on the memory is the guest's again.
      try driver.fill(0x400..<0x800)
      TestThreads.nap(microseconds: 300)
      #expect(try all.allSatisfy { try !driver.isZero($0) }, "round \(round)")
      try driver.begin(Self.all)
    }
    try driver.give(0, all)
    #expect(try driver.isZero(0x7FF))
  }
}
