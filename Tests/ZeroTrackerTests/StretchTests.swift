import HostSystem
import Synchronization
import TestSupport
import Testing
import ZeroTracker

/// Why memory was not reported: the snapshot's stretches and the history of single pages.
@Suite(.onVCPUThread) struct StretchTests {
  @Test func eachStateIsSeen() throws {
    let (tracker, log) = try makeTracker([pages(0, 200), pages(200, 64)], 65536)
    tracker.claim(pages(3, 1), owner: "vhost-net")
    tracker.markTouched(pages(32, 16))
    log.guestWrites(pages(10, 30))
    _ = tracker.zeroedRanges(replyPage: nil, limit: 1)
    let all: [MemoryStretch] = [
      .init(pages: pages(0, 16), state: .claimed), .init(pages: pages(16, 24), state: .written),
      .init(pages: pages(40, 8), state: .touched), .init(pages: pages(48, 152), state: .reported),
      .init(pages: pages(200, 64), state: .zeroed),
    ]
    let snapshot = tracker.snapshot()
    #expect(snapshot.stretches(limit: 5).stretches == all)
    let largest = snapshot.stretches(limit: 2) { $0 != .reported }
    #expect(largest.stretches == [all[1], all[4]])
    #expect(largest.omittedCount == 2 && largest.omittedPageCount == 24)
    #expect(snapshot.stretches(limit: -1).omittedPageCount == 264)
    #expect(snapshot.state(of: GPN(rawValue: 264)) == nil)
    #expect(snapshot.total.claimed == 16 && snapshot.total.touched == 32)
    try tracker.stop()
    let after = tracker.snapshot().stateCounts(in: pages(0, .max))
    #expect(after[.claimed] == 16 && after[.touched] == 16 && after[.unknown] == 232)
  }

  @Test(arguments: [4096, 16384, 262_144, 2 << 20] as [UInt64], 1...8 as ClosedRange<UInt64>)
  func equalsTheNaiveModel(byteCount: UInt64, seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let regions = [pages(7, 1021), pages(1028, 65), pages(1 << 40, 640)]
    let (tracker, log) = try makeTracker(regions, byteCount)
    var model = NaiveModel(regions, granularity(byteCount))
    for _ in 0..<Int.random(in: 0...12, using: &random) {
      let region = regions.randomElement(using: &random)!
      let start = region.start.rawValue + .random(in: 0..<region.pageCount, using: &random)
      let range = pages(start, .random(in: 1...300, using: &random))
      switch Int.random(in: 0..<4, using: &random) {
      case 0:
        tracker.claim(range)
        model.claim(range)
      case 1:
        tracker.markTouched(range)
        model.touch(range)
      default:
        log.guestWrites(range)
        model.write(range)
      }
    }
    let answer = tracker.zeroedRanges(replyPage: nil, limit: 2)
    var expected: [MemoryStretch] = []
    var counts = PageStateCounts()
    for (index, region) in regions.enumerated() {
      for offset in 0..<Int(region.pageCount) {
        let page = region.start.advanced(by: UInt64(offset))
        let state: PageState =
          if answer.contains(where: { $0.contains(page) }) {
            .reported
          } else if model.isClaimed[index][offset] {
            .claimed
          } else if model.isWritten[index][offset] {
            .written
          } else {
            model.isTouched[index][offset] ? .touched : .zeroed
          }
        counts[state] += 1
        if offset > 0, let last = expected.last, last.state == state {
          expected[expected.count - 1] = MemoryStretch(
            pages: PageRange(start: last.pages.start, end: page.advanced(by: 1)), state: state)
        } else {
          expected.append(MemoryStretch(pages: PageRange(start: page, pageCount: 1), state: state))
        }
      }
    }
    let snapshot = tracker.snapshot()
    #expect(snapshot.stretches(limit: .max).stretches == expected, "seed \(seed)")
    #expect(snapshot.stateCounts(in: pages(0, .max)) == counts, "seed \(seed)")
    #expect(counts.total == 1726)
    // Any part of memory gives its part of the counts.
    let cut = UInt64.random(in: 0...1100, using: &random)
    let low = snapshot.stateCounts(in: pages(0, cut))
    let high = snapshot.stateCounts(in: PageRange(start: GPN(rawValue: cut), pageCount: .max))
    for state in PageState.allCases {
      #expect(low[state] + high[state] == counts[state], "seed \(seed) cut \(cut)")
    }
  }

  @Test func claimsAreRememberedUpToABound() throws {
    let (tracker, _) = try makeTracker([pages(0, 100)])
    for _ in 0..<3 { tracker.claim(pages(1, 1), owner: "a") }
    tracker.claim(pages(1000, 5), owner: "outside")
    tracker.claim(pages(2, 1))
    #expect(
      tracker.snapshot().claims == [
        Claim(range: pages(1, 1), owner: "a"),
        Claim(range: pages(2, 1), owner: Claim.unnamedOwner),
      ])
    for number in 0..<70 { tracker.claim(pages(3, 1), owner: "\(number)") }
    let snapshot = tracker.snapshot()
    #expect(snapshot.claims.count == 64 && snapshot.claims.last?.owner == "69")
    #expect(snapshot.omittedClaimCount == 8)
  }

  @Test func aPagesHistory() throws {
    let (tracker, log) = try makeTracker([pages(0, 100)], 65536)
    tracker.claim(pages(3, 1), owner: "vhost-net")
    tracker.claim(pages(8, 1), owner: "VFIO")
    log.guestWrites(pages(97, 2))
    _ = tracker.zeroedRanges(replyPage: nil)
    func text(_ page: UInt64) -> String {
      tracker.snapshot().whyWithheld(GPN(rawValue: page)).description
    }
    #expect(
      text(5) == "page 0x5: not reported, not written by the guest; its chunk 0x0..<0x10: "
        + "claimed by vhost-net, VFIO, 0 of 16 pages written by the guest")
    #expect(
      text(98) == "page 0x62: not reported, written by the guest; its chunk 0x60..<0x64: "
        + "not touched by the VMM, 2 of 4 pages written by the guest")
    tracker.markTouched(pages(20, 1))
    #expect(
      text(20) == "page 0x14: reported, not written by the guest; its chunk 0x10..<0x20: "
        + "touched by the VMM, 0 of 16 pages written by the guest")
    log.state.withLock { $0.failsReading = true }
    #expect(text(50).contains("guest writes not known; its chunk 0x30..<0x40"))
    #expect(text(100) == "page 0x64: not memory")
    #expect(text(.max).hasSuffix("not memory"))
    let restored = try ZeroTracker(regions: [pages(0, 100)])
    try restored.restore(tracker.encodedState(), memory: .exact)
    #expect(
      restored.snapshot().whyWithheld(GPN(rawValue: 5)).description
        .contains("claimed by an owner not remembered"))
  }
}
