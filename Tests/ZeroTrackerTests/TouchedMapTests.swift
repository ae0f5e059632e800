import TestSupport
import Testing

@testable import ZeroTracker

@Suite struct TouchedMapTests {
  @Test(arguments: allGranularities)
  func marksExactlyTheChunksOfTheRange(granularity: TrackingGranularity) {
    let chunk = granularity.byteCount / 4096
    let region = pages(1000, chunk * 130 + 3)
    let cases: [(PageRange, Range<UInt64>)] = [
      (pages(1000, 1), 0..<1),
      (pages(1000 + chunk - 1, 2), 0..<2),
      (pages(1000 + chunk * 63, chunk * 2), 63..<65),
      (pages(1000 + chunk * 10, chunk * 120), 10..<130),
      (pages(1000 + chunk * 130 + 2, 1), (130 + 2 / chunk)..<(131 + 2 / chunk)),
      (pages(0, .max), 0..<((region.pageCount - 1) / chunk + 1)),
      (pages(0, 1001), 0..<1),
    ]
    for (range, chunks) in cases {
      let map = TouchedMap(region: region, granularity: granularity)
      map.mark(range)
      for number in 0..<((region.pageCount - 1) / chunk + 1) {
        let page = GPN(rawValue: 1000 + number * chunk)
        #expect(map.isTouched(page) == chunks.contains(number), "\(range) chunk \(number)")
      }
    }
  }

  @Test(arguments: [
    pages(0, 10), pages(200, 10), pages(.max, 1), pages(50, 0), pages(.max - 5, .max), pages(0, 0),
  ])
  func rangesOutsideMarkNothing(range: PageRange) {
    let map = TouchedMap(region: pages(10, 100), granularity: granularity(4096))
    map.mark(range)
    #expect(map.copy().allSatisfy { $0 == 0 })
  }

  @Test func pagesOutsideCountAsTouched() {
    let map = TouchedMap(region: pages(10, 100), granularity: .default)
    for page in [0, 9, 110, UInt64.max] { #expect(map.isTouched(GPN(rawValue: page))) }
    #expect(!map.isTouched(GPN(rawValue: 109)))
  }

  @Test func bitPiecesCutAtWords() {
    var pieces = BitPieces(62..<130)
    #expect(pieces.next()! == (0, 3 << 62))
    #expect(pieces.next()! == (1, .max))
    #expect(pieces.next()! == (2, 3))
    #expect(pieces.next() == nil)
    #expect(Array(BitPieces(5..<5)).isEmpty)
  }

  @Test(arguments: 0...13)
  func touchedWordsWidenToPages(pageShift: Int) {
    var random = SeededGenerator(seed: UInt64(pageShift))
    for _ in 0..<50 {
      let touched = random.next() & random.next()
      for word in [0, 1, (1 << pageShift) / 2, (1 << pageShift) - 1] where word < 1 << pageShift {
        var expected: UInt64 = 0
        for bit in 0..<64 where touched >> UInt64((word * 64 + bit) >> pageShift) & 1 == 1 {
          expected |= 1 << UInt64(bit)
        }
        #expect(TouchedWord.pageMask(touched, word: word, pageShift: pageShift) == expected)
      }
    }
  }
}
