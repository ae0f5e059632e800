import GuestMemory
import Testing
import ZeroTracker

@Suite struct VerifyTests {
  private let all = PageRange(start: GPN(rawValue: 0), pageCount: .max)

  @Test(arguments: [MemoryBacking.anonymous, .memfd], [false, true])
  func theLowestPageWithAByteIsFound(backing: MemoryBacking, preallocated: Bool) throws {
    // Both regions, and more pages than are looked up at once.
    let memory = try makeMemory(2 * gibibyte + 64 * mebibyte, backing)
    #expect(try memory.firstNonZeroPage(in: all) == nil)
    for address in [0x6000, 0x7FFF_FFFF, 0x1_0000_0FFF] as [UInt64] {
      try memory.store(1 as UInt8, at: GPA(address))
    }
    try memory.fill(at: GPA(0x1000), byteCount: 4096, with: 0)
    let resident = try memory.residentByteCount()
    var found: [UInt64] = []
    var rest = all
    while let page = try memory.firstNonZeroPage(in: rest) {
      found.append(page.rawValue)
      rest = PageRange(start: page.advanced(by: 1), end: all.end)
    }
    #expect(found == [6, 0x7FFFF, 0x10_0000])
    #expect(try memory.residentByteCount() == resident)
  }

  @Test(arguments: [0, 1, 7, 8, 9, 2048, 4088, 4095] as [UInt64])
  func everyByteOfAPageCounts(offset: UInt64) throws {
    let memory = try makeMemory()
    try memory.store(0x80 as UInt8, at: GPA(0x3000 + offset))
    #expect(try memory.firstNonZeroPage(in: all) == GPN(rawValue: 3))
    try memory.fill(at: GPA(0x3000), byteCount: 4096, with: 0)
    #expect(try memory.firstNonZeroPage(in: all) == nil)
  }

  @Test func onlyTheRangeIsRead() throws {
    let memory = try makeMemory()
    try memory.store(1 as UInt8, at: GPA(0x3000))
    #expect(
      try memory.firstNonZeroPage(in: PageRange(start: GPN(rawValue: 0), pageCount: 3)) == nil)
    #expect(
      try memory.firstNonZeroPage(in: PageRange(start: GPN(rawValue: 4), pageCount: .max)) == nil)
    #expect(
      try memory.firstNonZeroPage(in: PageRange(start: GPN(rawValue: 3), pageCount: 1))
        == GPN(rawValue: 3))
  }
}
