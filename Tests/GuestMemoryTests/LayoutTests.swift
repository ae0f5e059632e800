import GuestMemory
import Testing
import ZeroTracker

@Suite struct LayoutTests {
  static let layouts: [(UInt64, [ClosedRange<UInt64>])] = [
    (mebibyte, [0x0...0xF_FFFF]),
    (2 * gibibyte, [0x0...0x7FFF_FFFF]),
    (2 * gibibyte + 4096, [0x0...0x7FFF_FFFF, 0x1_0000_0000...0x1_0000_0FFF]),
    (64 * gibibyte, [0x0...0x7FFF_FFFF, 0x1_0000_0000...0x10_7FFF_FFFF]),
    (4096 * gibibyte, [0x0...0x7FFF_FFFF, 0x1_0000_0000...0x400_7FFF_FFFF]),
  ]

  @Test(arguments: layouts)
  func ramIsBelow2GiBAndFrom4GiB(byteCount: UInt64, regions: [ClosedRange<UInt64>]) throws {
    let layout = try GuestMemoryLayout(ramByteCount: byteCount)
    #expect(layout.ramByteCount == byteCount)
    #expect(layout.regions.map(\.start.rawValue) == regions.map(\.lowerBound))
    #expect(layout.regions.map(\.end.rawValue) == regions.map { $0.upperBound + 1 })
    #expect(layout.regions.reduce(0) { $0 + $1.byteCount } == byteCount)
    #expect(layout.regions.reduce(0) { $0 + $1.pages.pageCount } == byteCount / 4096)
  }

  @Test(arguments: [
    0, 1, 4096, mebibyte - 4096, mebibyte + 1, gibibyte + 512, 4096 * gibibyte + 4096, UInt64.max,
    UInt64.max - 4095,
  ])
  func otherSizesAreRefused(byteCount: UInt64) {
    #expect(throws: GuestMemoryError.layout(byteCount: byteCount)) {
      try GuestMemoryLayout(ramByteCount: byteCount)
    }
  }

  /// 2 GiB + 8 KiB: a hole, a small upper region, and hostile addresses.
  static let places: [(UInt64, Int, Bool)] = [
    (0, 0, true), (0, 1, true), (0, 0x8000_0000, true), (0, 0x8000_0001, false),
    (0x7FFF_FFFF, 1, true), (0x7FFF_FFFF, 2, false), (0x8000_0000, 0, false),
    (0x8000_0000, 1, false), (0xFFFF_FFFF, 1, false), (0xFFFF_FFFF, 2, false),
    (0x1_0000_0000, 0x2000, true), (0x1_0000_0000, 0x2001, false), (0x1_0000_1FFF, 1, true),
    (0x1_0000_1FFF, 2, false), (0x1_0000_2000, 0, false), (0, -1, false), (0, .min, false),
    (5, .max, false), (.max, 1, false), (.max, 0, false), (.max, .max, false),
    (.max - 7, 8, false), (1 << 63, 8, false),
  ]

  @Test(arguments: places)
  func containsOnlyBytesOfOneRegion(address: UInt64, byteCount: Int, isInside: Bool) throws {
    let layout = try GuestMemoryLayout(ramByteCount: 2 * gibibyte + 0x2000)
    #expect(layout.contains(GPA(address), byteCount: byteCount) == isInside)
    let memory = try GuestMemory(layout: layout)
    #expect(memory.isRAM(GPA(address), byteCount: byteCount) == isInside)
  }

  @Test func addressesDoNotOverflow() {
    #expect(GPA(.max).advanced(by: 1) == nil)
    #expect(GPA(.max - 1).advanced(by: 1) == GPA(.max))
    #expect(GPA(5).offset(from: GPA(6)) == nil)
    #expect(GPA(6).offset(from: GPA(6)) == 0)
    #expect(GPA(GPN(rawValue: 1 << 52)) == nil)
    #expect(GPA(GPN(rawValue: 2)) == GPA(8192))
    #expect(GPA(.max).page == GPN(rawValue: (1 << 52) - 1))
    #expect(GPA(0x1234).offsetInPage == 0x234)
    #expect(GPA(rawValue: 0x8000_0000).description == "0x80000000")
    #expect(GPA(1) < GPA(2))
  }

  @Test func backingsHaveNames() {
    for backing in MemoryBacking.allCases { #expect(MemoryBacking(name: backing.name) == backing) }
    #expect(MemoryBacking.allCases.map(\.name) == ["anonymous", "memfd", "hugetlb"])
    #expect(MemoryBacking(name: "Memfd") == nil)
  }
}
