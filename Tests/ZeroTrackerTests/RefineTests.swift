import TestSupport
import Testing
import ZeroTracker

@Suite(.onVCPUThread) struct RefineTests {
  private static let twoMebibytes: UInt64 = 2 << 20  // 512 pages a chunk

  @Test func aRunIsTouchedWholeChunksThatNobodyClaimed() throws {
    let (tracker, _) = try makeTracker([pages(0, 4000), pages(8192, 700)], Self.twoMebibytes)
    #expect(tracker.refinableRun(from: GPN(rawValue: 0), pageCount: 9999) == nil)
    tracker.markTouched(pages(513, 1))
    tracker.markTouched(pages(1024, 1))
    tracker.claim(pages(1536, 1))
    tracker.markTouched(pages(8192 + 513, 1))
    let next = { (page: UInt64, count: Int) in
      tracker.refinableRun(from: GPN(rawValue: page), pageCount: count)
    }
    #expect(next(0, 9999) == pages(512, 1024))
    #expect(next(0, 1023) == pages(512, 512))
    // A chunk is never cut, whatever is asked.
    #expect(next(0, 1) == pages(512, 512))
    #expect(next(513, 9999) == pages(1024, 512))
    // The claimed chunk is passed over, and a region's last chunk is short.
    #expect(next(1025, 9999) == pages(8192 + 512, 188))
    #expect(next(8192 + 513, 9999) == nil)
    #expect(next(.max, 9999) == nil)
  }

  @Test(
    "found by fuzzing: a run whose last chunk is short is refined, too", arguments: [1, 64, 9999])
  func shortLastChunk(pageCount: Int) throws {
    let (tracker, _) = try makeTracker([pages(7, 65)], 4 * 4096)
    tracker.markTouched(pages(7, 65))
    var next = GPN(rawValue: 0)
    while let run = tracker.refinableRun(from: next, pageCount: pageCount) {
      #expect(run.pageCount <= max(4, pageCount))
      tracker.refine(run) { _ in [] }
      next = run.end
    }
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(7, 65)])
  }

  @Test func aRunOfMorePagesThanThereAreIsLeftAlone() throws {
    let (tracker, _) = try makeTracker([pages(0, 1024)], Self.twoMebibytes)
    tracker.markTouched(pages(0, 1024))
    tracker.refine(pages(0, .max)) { _ in [] }
    #expect(tracker.zeroedRanges(replyPage: nil).isEmpty)
  }

  @Test func zeroPagesAreWonBackAndTheOthersWithheldOneByOne() throws {
    let (tracker, log) = try makeTracker([pages(0, 1024)], Self.twoMebibytes)
    tracker.markTouched(pages(0, 600))
    log.guestWrites(pages(7, 1))
    #expect(tracker.zeroedRanges(replyPage: nil).isEmpty)
    tracker.refine(pages(0, 1024)) { run in
      #expect(run == pages(0, 1024))
      return [pages(10, 2), pages(1023, 1)]
    }
    #expect(
      tracker.zeroedRanges(replyPage: nil) == [pages(12, 1011), pages(0, 7), pages(8, 2)])
    // For people the VMM wrote them, not the guest.
    #expect(tracker.snapshot().total.touched == 3)
    #expect(tracker.snapshot().total.written == 1)
    // A later mark withholds the whole chunk once more.
    tracker.markTouched(pages(600, 1))
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(12, 500), pages(0, 7), pages(8, 2)])
    tracker.markZeroed(pages(0, 1024))
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(0, 1024)])
    #expect(tracker.snapshot().total.touched == 0)
  }

  @Test func whatIsNoLongerSoIsLeftAlone() throws {
    let (tracker, _) = try makeTracker([pages(0, 1024)], Self.twoMebibytes)
    let refine = { (run: PageRange) in
      var isAsked = false
      tracker.refine(run) { _ in
        isAsked = true
        return []
      }
      return isAsked
    }
    tracker.markTouched(pages(0, 1))
    #expect(!refine(pages(512, 512)), "not touched")
    #expect(!refine(pages(1, 511)), "no chunk")
    #expect(!refine(pages(0, 1024)), "touched in part")
    #expect(!refine(pages(4096, 512)), "no RAM")
    #expect(!refine(pages(.max, .max)), "no RAM")
    tracker.claim(pages(0, 1))
    #expect(!refine(pages(0, 512)), "claimed")
    tracker.markTouched(pages(512, 1))
    #expect(refine(pages(512, 512)))
    tracker.markTouched(pages(512, 1))
    try tracker.stop()
    #expect(!refine(pages(512, 512)), "stopped")
    #expect(tracker.refinableRun(from: GPN(rawValue: 0), pageCount: 1) == nil)
  }

  @Test func anErrorChangesNothing() throws {
    let (tracker, _) = try makeTracker([pages(0, 1024)], Self.twoMebibytes)
    tracker.markTouched(pages(0, 1))
    #expect(throws: FakeDirtyLog.Failure()) {
      try tracker.refine(pages(0, 512)) { _ throws(FakeDirtyLog.Failure) in
        throw FakeDirtyLog.Failure()
      }
    }
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(512, 512)])
  }

  /// Refinement in between must not lose a page that is not zero, nor withhold more than without
  /// it.
  @Test(arguments: [4096, 65536, twoMebibytes, 32 << 20] as [UInt64], 0..<20 as Range<UInt64>)
  func refinedAnswersEqualTheTruth(byteCount: UInt64, seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let regions = [pages(3, 4095), pages(10_000, 1025)]
    let (tracker, log) = try makeTracker(regions, byteCount)
    var nonZero: Set<UInt64> = []
    var guestWritten: Set<UInt64> = []
    for _ in 0..<60 {
      let region = Bool.random(using: &random) ? regions[0] : regions[1]
      let page = UInt64.random(in: region.start.rawValue..<region.end.rawValue, using: &random)
      if Bool.random(using: &random) {
        log.guestWrites(pages(page, 1))
        guestWritten.insert(page)
      } else {
        tracker.markTouched(pages(page, 1))
        // A store of zeros is a mark without a byte.
        if Bool.random(using: &random) { nonZero.insert(page) }
      }
      if Int.random(in: 0..<10, using: &random) == 0 { refineAll(tracker, nonZero) }
    }
    refineAll(tracker, nonZero)
    let withheld = nonZero.union(guestWritten)
    let reported = tracker.zeroedRanges(replyPage: nil, limit: .max)
    for region in regions {
      for page in region.start.rawValue..<region.end.rawValue {
        let isReported = reported.contains { $0.contains(GPN(rawValue: page)) }
        #expect(isReported == !withheld.contains(page), "page \(page), seed \(seed)")
      }
    }
  }

  private func refineAll(_ tracker: ZeroTracker, _ nonZero: Set<UInt64>) {
    var next = GPN(rawValue: 0)
    while let run = tracker.refinableRun(from: next, pageCount: 1000) {
      tracker.refine(run) { run in
        (run.start.rawValue..<run.end.rawValue).filter(nonZero.contains).map { pages($0, 1) }
      }
      next = run.end
    }
  }
}
