import HostSystem
import Synchronization
import TestSupport
import Testing
import ZeroTracker

/// Random histories: the tracker equals the naive model, and keeps the law against the bytes.
@Suite(.onVCPUThread) struct ModelTests {
  static let regions = [pages(7, 1021), pages(5000, 640), pages(1 << 40, 65)]

  private func randomRange(_ random: inout SeededGenerator) -> PageRange {
    let region = Self.regions[Int.random(in: 0..<3, using: &random)]
    // Also beyond both ends, and of any length up to a few words.
    let start = region.start.rawValue - 5 + UInt64.random(in: 0..<region.pageCount, using: &random)
    let count = UInt64(1) << UInt64.random(in: 0...8, using: &random)
    return pages(start, UInt64.random(in: 0...count, using: &random))
  }

  @Test(arguments: allGranularities, 1...6 as ClosedRange<UInt64>)
  func equalsTheNaiveModel(granularity: TrackingGranularity, seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let tracker = try ZeroTracker(regions: Self.regions, granularity: granularity)
    let log = FakeDirtyLog()
    tracker.attach(source: log)
    var model = NaiveModel(Self.regions, granularity)
    // The truth: pages with a byte that is not zero.
    var nonZero: Set<UInt64> = []
    for step in 0..<60 {
      let range = randomRange(&random)
      switch Int.random(in: 0..<10, using: &random) {
      case 0..<4:
        log.guestWrites(range)
        model.write(range)
        nonZero.formUnion(range.start.rawValue..<range.end.rawValue)
      case 4..<7:
        tracker.markTouched(range)
        model.touch(range)
        nonZero.formUnion(range.start.rawValue..<range.end.rawValue)
      case 7..<9:
        let canForget = Bool.random(using: &random)
        log.state.withLock { $0.canForget = canForget }
        // What a source cannot forget is in its next answer again.
        tracker.markZeroed(range) { nonZero.subtract(range.start.rawValue..<range.end.rawValue) }
        model.discard(range, canForget: canForget)
      default:
        guard Int.random(in: 0..<4, using: &random) == 0 else { continue }
        tracker.claim(range)
        model.claim(range)
      }
      let limit = [1, 3, 255, 10_000][step % 4]
      let ranges = tracker.zeroedRanges(replyPage: nil, limit: limit)
      #expect(ranges == model.answer(limit: limit), "seed \(seed) step \(step) \(granularity)")
      let isLawKept = ranges.allSatisfy { range in
        (range.start.rawValue..<range.end.rawValue).allSatisfy { !nonZero.contains($0) }
      }
      #expect(isLawKept, "a page that is not zero: seed \(seed) step \(step) \(granularity)")
    }
  }

  @Test(arguments: 1...10 as ClosedRange<UInt64>)
  func withoutDiscardsAnswersOnlyShrink(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let tracker = try ZeroTracker(regions: Self.regions, granularity: granularity(16384))
    let log = FakeDirtyLog()
    tracker.attach(source: log)
    var before = tracker.zeroedRanges(replyPage: nil, limit: .max)
    for step in 0..<30 {
      let range = randomRange(&random)
      if Bool.random(using: &random) { log.guestWrites(range) } else { tracker.markTouched(range) }
      // Even a source that forgets unasked brings no page back.
      if step % 7 == 6 { log.state.withLock { $0.written = [] } }
      let after = tracker.zeroedRanges(replyPage: nil, limit: .max)
      let isSubset = after.allSatisfy { small in
        before.contains { $0.intersection(small) == small }
      }
      #expect(isSubset, "seed \(seed) step \(step)")
      before = after
    }
  }
}
