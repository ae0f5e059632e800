import MachineSpecification
import Testing

@testable import VMMCommand

@Suite struct MemoryPictureSVGTests {
  /// A guest with a hole below 4 GiB, and some of everything.
  static var sample: MemoryPicture {
    var map = MemoryPicture(addressSpaceByteCount: 5 << 30)
    map.add(.vmmTouched, 0..<(1 << 20))
    map.add(.guestWritten, (1 << 20)..<(200 << 20))
    map.add(.reportedZero, (200 << 20)..<(3 << 30))
    map.add(.zeroNotReported, (4 << 30)..<((4 << 30) + (2 << 20)))
    map.add(.vmmTouched, ((4 << 30) + (2 << 20))..<((4 << 30) + (2 << 20) + 4096))
    map.add(.claimed, ((4 << 30) + (3 << 20))..<((4 << 30) + (4 << 20)))
    map.add(.unknown, ((4 << 30) + (4 << 20))..<((4 << 30) + (5 << 20)))
    map.add(.reportedZero, ((4 << 30) + (5 << 20))..<(5 << 30))
    return map
  }

  private func svg(_ map: MemoryPicture, title: String = "Guest memory") -> String {
    MemoryPictureSVG(map, title: title, subtitle: "a & b").text
  }

  @Test(arguments: [0, 1, 4096, 100 << 20, 1 << 30, 1 << 44] as [UInt64])
  func isWellFormedAtAnySize(byteCount: UInt64) throws {
    var map = MemoryPicture(addressSpaceByteCount: byteCount)
    map.add(.reportedZero, 0..<byteCount)
    let text = svg(map)
    try XMLChecker.check(text)
    #expect(text.utf8.count < 200_000)
    #expect(!text.contains("nan") && !text.contains("inf") && !text.contains("width=\"-"))
  }

  @Test func theWorstCaseIsBounded() throws {
    var map = MemoryPicture(addressSpaceByteCount: 1 << 40)
    for cell in 0..<UInt64(map.cells.count) {
      for (index, memoryClass) in MemoryClass.allCases.enumerated() {
        let start = cell * map.bytesPerCell + UInt64(index) * 4096
        map.add(memoryClass, start..<(start + 4096))
      }
    }
    let text = svg(map)
    try XMLChecker.check(text)
    #expect(text.utf8.count < 3_000_000)
    #expect(!text.contains("width=\"-"))
  }

  @Test func legendHasTitlesAndTotals() throws {
    let map = Self.sample
    let text = svg(map)
    try XMLChecker.check(text)
    for memoryClass in MemoryClass.allCases {
      #expect(text.contains(">\(memoryClass.title)</text>"))
      #expect(text.contains(">\(ByteCount(map.byteCount(memoryClass)))</text>"))
      #expect(text.contains("<pattern id=\"\(MemoryPicturePattern.identifier(memoryClass))\""))
    }
    #expect(text.contains(">1 GiB</text>"))
    #expect(text.contains("1 cell = 2 MiB, 1 row = 128 MiB"))
  }

  @Test func anOrdinaryLegendHasNoRowForTheUnknown() {
    var map = MemoryPicture(addressSpaceByteCount: 1 << 30)
    map.add(.reportedZero, 0..<(1 << 30))
    #expect(!svg(map).contains(">not known</text>"))
    #expect(svg(map).contains(">claimed for good</text>"))
  }

  @Test(arguments: [0, 1, 12, 13, 4096])
  func theTableShowsTheLargest(count: Int) throws {
    let totals = MemoryTotals(
      reportedBytes: 0, claimedBytes: 0, guestWrittenBytes: 0, vmmTouchedBytes: 0,
      zeroNotReportedBytes: 0, unknownBytes: 0)
    let reasons = UnreportedRange.Reason.allCases
    let ranges = (0..<count).map { index in
      UnreportedRange(
        startPage: UInt64(index) << 13, pageCount: UInt64(index) + 1,
        reason: reasons[index % reasons.count])
    }
    let text = MemoryPictureSVG(
      Self.sample, title: "a", subtitle: "b",
      explanation: MemoryExplanation(totals: totals, unreported: ranges, omittedCount: 5)
    ).text
    try XMLChecker.check(text)
    for (index, range) in ranges.enumerated().suffix(20) {
      let isShown = index >= count - 12
      #expect(
        text.contains(">0x\(String(range.startPage * 4096, radix: 16))</text>") == isShown)
      if isShown { #expect(text.contains(">\(range.reason.text)</text>")) }
    }
    let omitted = DecimalText.grouped(UInt64(max(0, count - 12) + 5))
    #expect(text.contains(">and \(omitted) more"))
    #expect(text.contains(">all memory was reported<") == (count == 0))
  }

  @Test func aSinglePageStaysVisible() {
    var map = MemoryPicture(addressSpaceByteCount: 1 << 30)
    map.add(.vmmTouched, 0..<4096)
    map.add(.reportedZero, 4096..<(1 << 30))
    #expect(
      svg(map).contains(
        "<rect x=\"104\" y=\"100\" width=\"3\" height=\"9\" fill=\"url(#vmm-touched)\"/>"))
  }

  @Test func textIsEscaped() throws {
    let text = svg(Self.sample, title: "<script>\"&\u{0}\u{1B}")
    try XMLChecker.check(text)
    #expect(text.contains("<title>&lt;script&gt;&quot;&amp;</title>"))
    #expect(text.contains(">a &amp; b</text>"))
  }
}
