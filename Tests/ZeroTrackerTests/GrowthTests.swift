import HostSystem
import TestSupport
import Testing
import ZeroTracker

/// RAM that is added while answers are made.
@Suite(.onVCPUThread) struct GrowthTests {
  private static let growth = pages(0x1000, 0x800)

  private func tracker(
    _ granularity: TrackingGranularity = granularity(4096)
  ) throws -> (ZeroTracker, FakeDirtyLog) {
    let tracker = try ZeroTracker(
      regions: [pages(0, 0x100)], growth: Self.growth, granularity: granularity)
    let log = FakeDirtyLog()
    tracker.attach(source: log)
    return (tracker, log)
  }

  private func reported(_ tracker: ZeroTracker) -> Set<UInt64> {
    Set(tracker.zeroedRanges(replyPage: nil, limit: .max).flatMap { $0.pageNumbers })
  }

  @Test func whatIsNotAddedIsNeitherReportedNorCounted() throws {
    let (tracker, _) = try tracker()
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(0, 0x100)])
    #expect(tracker.snapshot().regions == [pages(0, 0x100)])
    #expect(tracker.unclaimed(pages(0, 0x2000)) == [pages(0, 0x100)])
    tracker.grow(to: GPN(rawValue: 0x1400))
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(0x1000, 0x400), pages(0, 0x100)])
    #expect(tracker.snapshot().total.zeroed == 0x500)
    #expect(tracker.unclaimed(pages(0x13FF, 0x2000)) == [pages(0x13FF, 1)])
    // Less than there is changes nothing.
    tracker.grow(to: GPN(rawValue: 0x1040))
    #expect(tracker.zeroedRanges(replyPage: nil).first == pages(0x1000, 0x400))
  }

  @Test func whatWasMarkedBeforeIsWithheld() throws {
    let (tracker, log) = try tracker()
    tracker.markTouched(pages(0x1010, 1))
    log.guestWrites(pages(0x1011, 1))
    tracker.grow(to: GPN(rawValue: 0x1040))
    #expect(reported(tracker).isDisjoint(with: [0x1010, 0x1011]))
    #expect(reported(tracker).contains(0x1012))
  }

  @Test func afterTheEndNothingIsReported() throws {
    let (tracker, _) = try tracker()
    try tracker.stop()
    tracker.grow(to: GPN(rawValue: 0x1800))
    #expect(tracker.zeroedRanges(replyPage: nil) == [])
    #expect(tracker.snapshot().total.zeroed == 0)
    #expect(tracker.refinableRun(from: GPN(rawValue: 0), pageCount: 64) == nil)
  }

  @Test func aStateHasWhatWasAdded() throws {
    let (grown, log) = try tracker()
    grown.grow(to: GPN(rawValue: 0x1080))
    log.guestWrites(pages(0x1003, 2))
    grown.markTouched(pages(0x1020, 1))
    let state = grown.encodedState()
    let other = try ZeroTracker(
      regions: [pages(0, 0x100), pages(0x1000, 0x80)], granularity: granularity(4096))
    try other.restore(state, memory: .exact)
    other.attach(source: FakeDirtyLog())
    #expect(reported(other) == reported(grown))
    // One that has not grown has no place for it; without what was added it is as any other.
    #expect(throws: TrackerStateError.self) { try tracker().0.restore(state, memory: .exact) }
    let small = try ZeroTracker(
      regions: [pages(0, 0x100)], growth: Self.growth, granularity: granularity(4096))
    let before = try ZeroTracker(regions: [pages(0, 0x100)], granularity: granularity(4096))
    before.attach(source: FakeDirtyLog())
    try small.restore(before.encodedState(), memory: .exact)
  }

  @Test func growthIsAboveAllElse() {
    #expect(throws: ZeroTrackerError.self) {
      try ZeroTracker(regions: [pages(0, 0x100)], growth: pages(0x80, 0x100))
    }
    #expect(throws: ZeroTrackerError.self) {
      try ZeroTracker(regions: [pages(0, 0x100)], growth: pages(0x100, 0))
    }
  }

  /// All that can be; a chunk that RAM ends in stays as it is.
  private func refine(_ tracker: ZeroTracker, _ nonZero: Set<UInt64>) {
    var next = GPN(rawValue: 0)
    while let run = tracker.refinableRun(from: next, pageCount: 256) {
      tracker.refine(run) { run in
        run.pageNumbers.filter { nonZero.contains($0) }.map { pages($0, 1) }
      }
      next = run.end
    }
  }

  /// Writes of both sides, discards, refinements and claims, also of pages that are no RAM yet, and
  /// growth in between: a page that is not zero is never reported. At the end the others are.
  @Test(arguments: allGranularities, 1...4 as ClosedRange<UInt64>)
  func randomHistories(granularity: TrackingGranularity, seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let (tracker, log) = try tracker(granularity)
    var end = Self.growth.start.rawValue
    var (nonZero, claimed): (Set<UInt64>, Set<UInt64>) = ([], [])
    for step in 0..<80 {
      let start = UInt64.random(in: 0x1000..<0x1800, using: &random)
      let range = pages(start, UInt64.random(in: 1...100, using: &random))
      switch Int.random(in: 0..<8, using: &random) {
      case 0:
        end = min(end + 64 * UInt64.random(in: 0...4, using: &random), 0x1800)
        tracker.grow(to: GPN(rawValue: end))
      case 1, 2:
        // Neither can write where there is no RAM.
        let written = range.intersection(pages(0x1000, end - 0x1000))
        log.guestWrites(written)
        nonZero.formUnion(written.pageNumbers)
      case 3, 4:
        tracker.markTouched(range)
        nonZero.formUnion(range.intersection(pages(0x1000, end - 0x1000)).pageNumbers)
      case 5:
        tracker.markZeroed(range) { nonZero.subtract(range.pageNumbers) }
      case 6:
        tracker.claim(range)
        claimed.formUnion(range.pageNumbers)
      default:
        refine(tracker, nonZero)
      }
      let found = reported(tracker)
      #expect(found.isDisjoint(with: nonZero), "seed \(seed) step \(step) \(granularity)")
      #expect(
        found.allSatisfy { $0 < 0x100 || $0 < end }, "no RAM: seed \(seed) step \(step)")
    }
    // What nobody wrote or claimed comes back, whatever was marked around it.
    tracker.grow(to: Self.growth.end)
    refine(tracker, nonZero)
    if granularity.byteCount == 4096 {
      let written = log.state.withLock { $0.written }
      let withheld = Set(Self.growth.pageNumbers).subtracting(reported(tracker))
      #expect(withheld.isSubset(of: nonZero.union(claimed).union(written)), "seed \(seed)")
    }
  }
}
