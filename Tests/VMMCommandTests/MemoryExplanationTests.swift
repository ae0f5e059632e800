import Testing
import ZeroTracker

@testable import VMMCommand

@Suite struct MemoryExplanationTests {
  private final class Writes: WrittenPageSource {
    func readWrittenPages(of region: PageRange, into words: inout MutableSpan<UInt64>) throws {
      for index in words.indices { words[index] |= 0xFF00 }
    }
    func stop() throws {}
    func forget(_ range: PageRange) -> Bool { false }
  }

  private func pages(_ start: UInt64, _ count: UInt64) -> PageRange {
    PageRange(start: GPN(rawValue: start), pageCount: count)
  }

  private func makeTracker(pageCount: UInt64) throws -> ZeroTracker {
    let tracker = try ZeroTracker(
      regions: [pages(0, pageCount)], granularity: TrackingGranularity(byteCount: 4096))
    tracker.attach(source: Writes())
    return tracker
  }

  @Test func reasonsAndTotals() throws {
    let tracker = try makeTracker(pageCount: 128)
    tracker.claim(pages(0, 2))
    tracker.markTouched(pages(4, 8))
    _ = tracker.zeroedRanges(replyPage: nil, limit: 1)
    let explanation = MemoryExplanation(tracker.snapshot(), hasAsked: true)
    let expected: [(UInt64, UInt64, UnreportedRange.Reason)] = [
      (0, 2, .claimed), (2, 2, .notAmongTheLargest), (4, 4, .touchedByVMM),
      (8, 8, .writtenByGuest), (72, 8, .writtenByGuest), (80, 48, .notAmongTheLargest),
    ]
    #expect(
      explanation.unreported
        == expected.map { UnreportedRange(startPage: $0.0, pageCount: $0.1, reason: $0.2) })
    #expect(
      explanation.totals
        == MemoryTotals(
          reportedBytes: 56 << 12, claimedBytes: 2 << 12, guestWrittenBytes: 16 << 12,
          vmmTouchedBytes: 4 << 12, zeroNotReportedBytes: 50 << 12, unknownBytes: 0))
    #expect(explanation.omittedCount == 0)
    let map = MemoryPicture(tracker.snapshot())
    #expect(map.byteCount(.guestWritten) == 16 << 12 && map.byteCount(.claimed) == 2 << 12)
    #expect(map.byteCount(.vmmTouched) == 4 << 12 && map.byteCount(.reportedZero) == 56 << 12)
    try tracker.stop()
    let ended = MemoryExplanation(tracker.snapshot(), hasAsked: true)
    #expect(ended.unreported.contains { $0.reason == .trackingEnded })
    #expect(ended.totals.unknownBytes == 118 << 12)
  }

  @Test func aGuestThatNeverAsked() throws {
    let explanation = MemoryExplanation(
      try makeTracker(pageCount: 64).snapshot(), hasAsked: false)
    #expect(explanation.unreported.map(\.reason) == [.notAsked, .writtenByGuest, .notAsked])
  }

  @Test func scatteredMemoryIsBounded() throws {
    let explanation = MemoryExplanation(
      try makeTracker(pageCount: 64 * 3000).snapshot(), hasAsked: true)
    #expect(explanation.unreported.count == MemoryExplanation.maximumRangeCount)
    #expect(explanation.omittedCount == 6001 - 4096)
  }
}
