import HostSystem
import Synchronization
import TestSupport
import Testing
import ZeroTracker

/// Single answers whose result is plain to see.
@Suite(.onVCPUThread) struct ZeroedRangesTests {
  @Test(
    arguments: [1, 2, 63, 64, 65, 127, 128, 129, 1000] as [UInt64],
    [4096, 65536, 2 << 20] as [UInt64])
  func allZeroIsOneRange(count: UInt64, byteCount: UInt64) throws {
    let (tracker, _) = try makeTracker([pages(3, count)], byteCount)
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(3, count)])
  }

  @Test(arguments: [1, 63, 64, 65, 129] as [UInt64])
  func allWrittenOrAllTouchedIsNothing(count: UInt64) throws {
    let (written, log) = try makeTracker([pages(3, count)])
    log.guestWrites(pages(3, count))
    #expect(written.zeroedRanges(replyPage: nil).isEmpty)
    let (touched, _) = try makeTracker([pages(3, count)])
    touched.markTouched(pages(3, count))
    #expect(touched.zeroedRanges(replyPage: nil).isEmpty)
  }

  @Test(arguments: [0, 1, 62, 63, 64, 65, 126, 127, 128, 199] as [UInt64])
  func oneWrittenPageSplitsTheRange(page: UInt64) throws {
    let (tracker, log) = try makeTracker([pages(0, 200)])
    log.guestWrites(pages(page, 1))
    let parts = [pages(0, page), pages(page + 1, 199 - page)].filter { !$0.isEmpty }
    #expect(
      tracker.zeroedRanges(replyPage: nil)
        == parts.sorted { ($1.pageCount, $0.start) < ($0.pageCount, $1.start) })
  }

  @Test(arguments: allGranularities)
  func theReplyPageIsNeverReported(granularity: TrackingGranularity) throws {
    let tracker = try ZeroTracker(regions: [pages(0, 20000)], granularity: granularity)
    tracker.attach(source: FakeDirtyLog())
    for page in [0, 77, 19999] as [UInt64] {
      let ranges = tracker.zeroedRanges(replyPage: GPN(rawValue: page))
      #expect(ranges.allSatisfy { !$0.contains(GPN(rawValue: page)) })
    }
  }

  @Test func theReplyPageIsMarkedThoughNothingIsReported() throws {
    let tracker = try ZeroTracker(regions: [pages(0, 10)], granularity: granularity(4096))
    #expect(tracker.zeroedRanges(replyPage: GPN(rawValue: 4)).isEmpty)
    tracker.attach(source: FakeDirtyLog())
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(5, 5), pages(0, 4)])
  }

  @Test(arguments: [UInt64.max, 100, 1 << 52])
  func aReplyPageOutsideMemoryDoesNoHarm(page: UInt64) throws {
    let (tracker, _) = try makeTracker([pages(0, 100)])
    #expect(tracker.zeroedRanges(replyPage: GPN(rawValue: page)) == [pages(0, 100)])
  }

  @Test func rangesStayWithinTheirRegion() throws {
    let (tracker, _) = try makeTracker([pages(0, 64), pages(64, 65), pages(1 << 20, 3)], 65536)
    #expect(
      tracker.zeroedRanges(replyPage: nil) == [pages(64, 65), pages(0, 64), pages(1 << 20, 3)])
  }

  @Test func equalRangesAreOrderedByAddress() throws {
    let (tracker, log) = try makeTracker([pages(0, 1000)])
    for page in stride(from: UInt64(9), to: 1000, by: 10) { log.guestWrites(pages(page, 1)) }
    let expected = (0..<100).map { pages($0 * 10, 9) }
    #expect(tracker.zeroedRanges(replyPage: nil) == expected)
    #expect(tracker.zeroedRanges(replyPage: nil, limit: 7) == Array(expected.prefix(7)))
  }

  @Test(arguments: [0, -1, Int.min])
  func noRangesForNoLimit(limit: Int) throws {
    let (tracker, _) = try makeTracker([pages(0, 10)])
    #expect(tracker.zeroedRanges(replyPage: nil, limit: limit).isEmpty)
    #expect(tracker.zeroedRanges(replyPage: nil, limit: .max) == [pages(0, 10)])
  }

  @Test func ofMoreThan255RunsTheLargestAreKept() throws {
    // Runs of 1, 2, … 400 pages, shuffled by a step that 400 does not divide.
    let (tracker, log) = try makeTracker([pages(0, 100_000)])
    var runs: [PageRange] = []
    var start: UInt64 = 0
    for number in 0..<400 {
      let count = UInt64(number * 171 % 400 + 1)
      runs.append(pages(start, count))
      log.guestWrites(pages(start + count, 1))
      start += count + 1
    }
    log.guestWrites(pages(start, 100_000 - start))
    runs.sort { $0.pageCount > $1.pageCount }
    #expect(tracker.zeroedRanges(replyPage: nil) == Array(runs.prefix(255)))
  }

  @Test func aPartlyTouchedChunkIsWithheldWhole() throws {
    let (tracker, _) = try makeTracker([pages(0, 100)], 65536)
    tracker.markTouched(pages(40, 1))
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(48, 52), pages(0, 32)])
  }

  @Test(arguments: [
    pages(.max, .max), pages(0, 0), pages(100, .max), pages(1 << 52, 1 << 52), pages(5, 0),
  ])
  func hostileRangesAreIgnored(range: PageRange) throws {
    let (tracker, _) = try makeTracker([pages(0, 100)])
    tracker.markTouched(range)
    tracker.claim(range)
    tracker.markZeroed(range)
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(0, 100)])
    #expect(tracker.snapshot().counts(in: range).memory == 0)
  }

  @Test func aRangeBeyondTheEndIsClipped() throws {
    let (tracker, _) = try makeTracker([pages(0, 100)])
    tracker.markTouched(pages(90, .max))
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(0, 90)])
    tracker.markZeroed(pages(0, .max))
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(0, 100)])
  }

  @Test func aSourceThatOverwritesCannotGrowTheMemory() throws {
    let (tracker, log) = try makeTracker([pages(0, 70)])
    log.state.withLock { $0.overwrites = true }
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(0, 70)])
  }
}
