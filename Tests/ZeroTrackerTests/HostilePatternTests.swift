import Synchronization
import TestSupport
import Testing
import ZeroTracker

/// Patterns a guest would write to buy VMM time: the work of one answer is bounded, the answer
/// exact.
@Suite(.onVCPUThread) struct HostilePatternTests {
  /// The same word everywhere, or one that depends on its index.
  final class Pattern: WrittenPageSource {
    let word: @Sendable (Int) -> UInt64
    init(_ word: @escaping @Sendable (Int) -> UInt64) { self.word = word }
    func readWrittenPages(of region: PageRange, into words: inout MutableSpan<UInt64>) throws {
      for index in words.indices { words[index] |= word(index) }
    }
    func stop() throws {}
    func forget(_ range: PageRange) -> Bool { false }
  }

  /// 16 GiB: enough to tell a bounded answer from one that handles 2 million runs one by one.
  static let pageCount: UInt64 = 1 << 22

  private func answer(_ word: @escaping @Sendable (Int) -> UInt64) throws -> [PageRange] {
    let tracker = try ZeroTracker(regions: [pages(0, Self.pageCount)])
    tracker.attach(source: Pattern(word))
    return tracker.zeroedRanges(replyPage: nil)
  }

  @Test func alternatingPagesGiveTheLowest255() throws {
    #expect(try answer { _ in 0xAAAA_AAAA_AAAA_AAAA } == (0..<255).map { pages($0 * 2, 1) })
  }

  @Test func runsWithinWordsGiveTheLowest255() throws {
    // Bits 1…62 of every word are clear: one inner run of 62 pages each.
    #expect(
      try answer { _ in 0x8000_0000_0000_0001 } == (0..<255).map { pages($0 * 64 + 1, 62) })
  }

  @Test func runsAcrossWordsGiveTheLowest255() throws {
    // Only bit 32 of every word is set: 63-page runs across each border, 32 pages before the first.
    #expect(try answer { _ in 1 << 32 } == (0..<255).map { pages($0 * 64 + 33, 63) })
  }

  @Test func longerRunsAmongManyAreFound() throws {
    // Alternating, with three longer runs inside words far apart.
    let ranges = try answer { index in
      switch index {
      case 9_000: 0xAAAA_AAA0_02AA_AAAA
      case 30_000: 0xAAAA_AAAA_A8AA_AAAA
      case 65_535: 0x0AAA_AAAA_AAAA_AAAA
      default: 0xAAAA_AAAA_AAAA_AAAA
      }
    }
    #expect(
      ranges.prefix(4) == [
        pages(9_000 * 64 + 26, 11), pages(65_535 * 64 + 60, 4), pages(30_000 * 64 + 24, 3),
        pages(0, 1),
      ])
    #expect(ranges.count == 255)
  }

  /// Folding to coarser cells, the usual cure for too many runs, never reports more.
  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func foldingWouldNotReportMore(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let words = (0..<4096).map { _ in
      random.next() & random.next() & random.next() & random.next()
    }
    let tracker = try ZeroTracker(regions: [pages(0, 4096 * 64)])
    tracker.attach(source: Pattern { words[$0] })
    let exact = tracker.zeroedRanges(replyPage: nil).reduce(0) { $0 + $1.pageCount }
    for cell in [2, 4, 8, 16, 64] {
      var runs: [Int] = []
      var run = 0
      for first in stride(from: 0, to: 4096 * 64, by: cell) {
        let isZero = (first..<first + cell).allSatisfy {
          words[$0 / 64] >> UInt64($0 % 64) & 1 == 0
        }
        if isZero {
          run += cell
        } else if run > 0 {
          runs.append(run)
          run = 0
        }
      }
      if run > 0 { runs.append(run) }
      let folded = runs.sorted(by: >).prefix(255).reduce(0, +)
      #expect(UInt64(folded) <= exact, "seed \(seed), cells of \(cell) pages")
    }
  }
}
