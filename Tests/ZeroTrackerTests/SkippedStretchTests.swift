import TestSupport
import Testing
import ZeroTracker

/// Stretches of words in one state, which the scan skips several at a time, end where they end: at
/// each distance from the start, and from the end of a region whose last word is not full.
@Suite(.onVCPUThread) struct SkippedStretchTests {
  /// Three blocks of eight words, and what no block takes.
  private static let wordCounts = 1...27
  private static let start: UInt64 = 7

  /// Calls `body` with regions, and with a first and a last page of each word of them.
  private func forEachEdge(_ body: (_ region: PageRange, _ page: PageRange) throws -> Void) throws {
    for wordCount in Self.wordCounts {
      let region = pages(Self.start, UInt64(wordCount) * 64 - 5)
      for word in 0..<UInt64(wordCount) {
        for bit in [0, 63] as [UInt64] where word * 64 + bit < region.pageCount {
          try body(region, pages(Self.start + word * 64 + bit, 1))
        }
      }
    }
  }

  /// What is left of a region without the page, largest first.
  private func rest(_ region: PageRange, without page: PageRange) -> [PageRange] {
    let lower = pages(region.start.rawValue, page.start.rawValue - region.start.rawValue)
    let upper = pages(page.end.rawValue, region.end.rawValue - page.end.rawValue)
    return [lower, upper].filter { !$0.isEmpty }
      .sorted { ($1.pageCount, $0.start) < ($0.pageCount, $1.start) }
  }

  @Test(arguments: [4096, 65536] as [UInt64])
  func oneWrittenPageAmongFreeOnes(byteCount: UInt64) throws {
    try forEachEdge { region, page in
      let (tracker, log) = try makeTracker([region], byteCount)
      log.guestWrites(page)
      #expect(tracker.zeroedRanges(replyPage: nil) == rest(region, without: page), "\(region)")
    }
  }

  @Test(arguments: [4096, 65536] as [UInt64])
  func oneFreePageAmongWrittenOnes(byteCount: UInt64) throws {
    try forEachEdge { region, page in
      let tracker = try ZeroTracker(regions: [region], granularity: granularity(byteCount))
      let free = page.start.rawValue - region.start.rawValue
      tracker.attach(
        source: HostilePatternTests.Pattern { word in
          UInt64(word) == free / 64 ? ~(1 << (free % 64)) : .max
        })
      #expect(tracker.zeroedRanges(replyPage: nil) == [page], "\(region)")
    }
  }

  @Test func oneTouchedPageAmongFreeOnes() throws {
    try forEachEdge { region, page in
      let (tracker, _) = try makeTracker([region])
      tracker.markTouched(page)
      #expect(tracker.zeroedRanges(replyPage: nil) == rest(region, without: page), "\(region)")
    }
  }

  @Test func oneFreePageAmongTouchedOnes() throws {
    try forEachEdge { region, page in
      let (tracker, _) = try makeTracker([region])
      for range in rest(region, without: page) { tracker.markTouched(range) }
      #expect(tracker.zeroedRanges(replyPage: nil) == [page], "\(region)")
    }
  }
}
