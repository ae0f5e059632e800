import Testing
import ZeroTracker

@Suite struct PageTypeTests {
  @Test func pageNumberArithmeticSaturates() {
    #expect(GPN(rawValue: .max).advanced(by: 1) == GPN(rawValue: .max))
    #expect(GPN(rawValue: .max - 1).advanced(by: 1) == GPN(rawValue: .max))
    #expect(GPN(rawValue: 0).advanced(by: .max) == GPN(rawValue: .max))
    #expect(GPN(containing: .max) == GPN(rawValue: .max / 4096))
    #expect(GPN(containing: 4095) == GPN(rawValue: 0))
    #expect(GPN(containing: 4096) == GPN(rawValue: 1))
    #expect("\(GPN(rawValue: 0x1f))" == "0x1f")
  }

  @Test func rangeEndSaturates() {
    let range = pages(.max - 2, 100)
    #expect(range.end == GPN(rawValue: .max))
    #expect(!range.isEmpty)
    #expect(range.contains(GPN(rawValue: .max - 1)))
    #expect(range.intersection(pages(0, .max)).pageCount == 2)
    #expect(pages(.max, .max).isEmpty)
    #expect(pages(7, 0).isEmpty)
    #expect(!pages(7, 0).contains(GPN(rawValue: 7)))
    #expect("\(pages(0x100, 0x80))" == "0x100..<0x180")
  }

  @Test(arguments: [
    (pages(0, 10), pages(5, 10), pages(5, 5)),
    (pages(5, 10), pages(0, 10), pages(5, 5)),
    (pages(0, 100), pages(5, 10), pages(5, 10)),
  ])
  func intersections(left: PageRange, right: PageRange, common: PageRange) {
    #expect(left.intersection(right) == common)
  }

  @Test(arguments: [
    (pages(0, 5), pages(5, 5)), (pages(9, 5), pages(2, 2)), (pages(0, 0), pages(0, 9)),
  ])
  func disjointRangesHaveNothingInCommon(left: PageRange, right: PageRange) {
    #expect(left.intersection(right).isEmpty)
  }

  @Test(arguments: (12...25).map { UInt64(1) << UInt64($0) })
  func powersOfTwoAreGranularities(byteCount: UInt64) throws {
    #expect(try TrackingGranularity(byteCount: byteCount).byteCount == byteCount)
  }

  @Test(arguments: [0, 1, 2048, 4095, 4097, 12288, 65537, 64 << 20, 1 << 63, UInt64.max])
  func otherGranularitiesAreRefused(byteCount: UInt64) {
    #expect(throws: ZeroTrackerError.granularity(byteCount: byteCount)) {
      try TrackingGranularity(byteCount: byteCount)
    }
  }

  @Test func granularitiesPrint() {
    #expect("\(TrackingGranularity.default)" == "64 KiB")
    #expect("\(granularity(4096))" == "4 KiB")
    #expect("\(granularity(2 << 20))" == "2 MiB")
  }

  static let refused: [([PageRange], ZeroTrackerError)] = [
    ([], ZeroTrackerError.noRegions),
    ([pages(0, 0)], ZeroTrackerError.region(pages(0, 0))),
    ([pages(.max - 1, 5)], ZeroTrackerError.region(pages(.max - 1, 5))),
    ([pages(.max - 1, 1)], ZeroTrackerError.region(pages(.max - 1, 1))),
    ([pages(9, 5), pages(0, 5)], ZeroTrackerError.regionOrder(pages(0, 5), after: pages(9, 5))),
    ([pages(0, 5), pages(4, 5)], ZeroTrackerError.regionOrder(pages(4, 5), after: pages(0, 5))),
    ([pages(0, tooMany)], ZeroTrackerError.pageCount(tooMany)),
    ([pages(0, tooMany - 1), pages(tooMany, 1)], ZeroTrackerError.pageCount(tooMany)),
    ([pages(0, 1 << 62), pages(1 << 62, 1 << 62)], ZeroTrackerError.pageCount(1 << 62)),
  ]
  static let tooMany = ZeroTracker.maximumPageCount + 1

  @Test(arguments: refused)
  func regionsAreValidated(regions: [PageRange], error: ZeroTrackerError) {
    #expect(throws: error) { try ZeroTracker(regions: regions) }
    #expect(!"\(error)".contains("\n"))
  }
}
