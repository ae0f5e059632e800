import Glibc
import HostPages
import TestSupport
import Testing

/// What the kernel notes, for each kind of memory.
@Suite(
  .serialized, .timeLimit(.minutes(10)),
  .enabled(if: WriteProtection.obstacle() == nil, "needs userfaultfd WP_ASYNC and PAGEMAP_SCAN"))
struct WriteProtectionTests {
  private static let pages = [0, 63, 64, 65, 511, 700, 1023]

  @Test(arguments: Memory.all)
  func nothingWrittenIsNothingNoted(kind: Memory) throws {
    let memory = try kind.make()
    let protection = try WriteProtection([memory.range])
    try protection.arm()
    #expect(try protection.writtenPages(of: memory.range) == [])
  }

  @Test(arguments: Memory.all, Writer.allCases)
  func everyWriterIsNoted(kind: Memory, writer: Writer) throws {
    let memory = try kind.make()
    let protection = try WriteProtection([memory.range])
    try protection.arm()
    for page in Self.pages.dropLast() { try writer.write(to: page, of: memory) }
    let first = memory.marked(Self.pages.dropLast())
    #expect(try protection.writtenPages(of: memory.range) == first)
    try writer.write(to: 1023, of: memory)
    try writer.write(to: 0, of: memory)
    #expect(try protection.writtenPages(of: memory.range) == memory.marked(Self.pages))
  }

  @Test(arguments: Memory.all)
  func oneWriteMarksOneUnit(kind: Memory) throws {
    let memory = try kind.make()
    let protection = try WriteProtection([memory.range])
    try protection.arm()
    memory.store(1, 700)
    let expected = memory.backing == .hugetlb ? Set(512..<1024) : [700]
    #expect(try protection.writtenPages(of: memory.range) == expected)
  }

  @Test(arguments: Memory.all)
  func writesBeforeArmingAreNotNoted(kind: Memory) throws {
    let memory = try kind.make()
    memory.store(1, 5)
    let protection = try WriteProtection([memory.range])
    memory.store(1, 6)
    try protection.arm()
    #expect(try protection.writtenPages(of: memory.range) == [])
    memory.store(1, 5)
    #expect(try protection.writtenPages(of: memory.range) == memory.marked([5]))
    #expect(memory.load(5) == 1 && memory.load(6) == 1)
  }

  @Test(arguments: Memory.all)
  func readsAreNotNoted(kind: Memory) throws {
    let memory = try kind.make()
    let protection = try WriteProtection([memory.range])
    try protection.arm()
    for page in Self.pages { #expect(memory.load(page) == 0) }
    // The kernel reads, too.
    var ends: [Int32] = [0, 0]
    #expect(unsafe pipe(&ends) == 0)
    #expect(unsafe write(ends[1], memory.base + 300 * 4096, 16) == 16)
    for end in ends { close(end) }
    #expect(try protection.writtenPages(of: memory.range) == [])
    memory.store(1, 63)
    #expect(try protection.writtenPages(of: memory.range) == memory.marked([63]))
  }

  @Test(arguments: Memory.all)
  func freedPagesAreNotWrittenUntilTheNextWrite(kind: Memory) throws {
    let memory = try kind.make()
    let protection = try WriteProtection([memory.range])
    try protection.arm()
    for page in [10, 511, 512, 600, 1000] { memory.store(1, page) }
    try memory.discard(512..<1024)
    let kept = memory.marked([10, 511])
    let afterDiscard = try protection.writtenPages(of: memory.range)
    // With swap, a hole in a shared memory file cannot be told from a page in swap.
    let holesLookWritten = memory.backing == .memfd && hasSwap
    #expect(holesLookWritten ? afterDiscard.isSuperset(of: kept) : afterDiscard == kept)
    memory.store(1, 600)
    let afterWrite = try protection.writtenPages(of: memory.range)
    let expected = kept.union(memory.marked([600]))
    // A new transparent huge page has no protection.
    let isLarge = holesLookWritten || memory.backing == .transparentHuge
    if memory.backing == .anonymous {
      // Since Linux 6.14 an empty page table is freed with the pages (PT_RECLAIM), so that a huge
      // page fits, which transparent_hugepage=always gives to all memory.
      let block = kept.union(memory.marked(512..<1024))
      #expect(afterWrite == expected || afterWrite == block)
    } else {
      #expect(isLarge ? afterWrite.isSuperset(of: expected) : afterWrite == expected)
    }
    #expect(afterWrite.intersection(0..<512) == kept.intersection(0..<512))
  }

  /// MADV_DONTNEED leaves the bytes in the file, so they count as written.
  @Test func pagesStillInTheirFileAreWritten() throws {
    let memory = try TestMemory(.memfd, isPopulated: true)
    let protection = try WriteProtection([memory.range])
    try protection.arm()
    memory.store(9, 64)
    try memory.advise(Int32(MADV_DONTNEED), 0..<1024)
    let written = try protection.writtenPages(of: memory.range)
    #expect(written.contains(64))
    #expect(memory.load(64) == 9)
    #expect(try protection.writtenPages(of: memory.range).contains(64))
  }

  @Test(
    .enabled(if: hasSwap, "needs swap"),
    arguments: [Backing.anonymous, .transparentHuge, .memfd], [false, true])
  func swappedPagesStayWritten(backing: Backing, isPopulated: Bool) throws {
    let memory = try TestMemory(backing, isPopulated: isPopulated)
    let protection = try WriteProtection([memory.range])
    try protection.arm()
    for page in Self.pages { memory.store(3, page) }
    try memory.advise(SystemCalls.pageOut, 0..<1024)
    let mapped = try Self.pages.filter { try memory.isInPageTables($0) }
    #expect(mapped.isEmpty, "not swapped out")
    #expect(try protection.writtenPages(of: memory.range) == Set(Self.pages))
    for page in Self.pages { #expect(memory.load(page) == 3) }
    #expect(try protection.writtenPages(of: memory.range) == Set(Self.pages))
    memory.store(1, 99)
    #expect(try protection.writtenPages(of: memory.range) == Set(Self.pages + [99]))
  }

  @Test(arguments: Memory.all)
  func armingAgainForgets(kind: Memory) throws {
    let memory = try kind.make()
    let protection = try WriteProtection([memory.range])
    try protection.arm()
    memory.store(1, 3)
    try protection.arm()
    #expect(try protection.writtenPages(of: memory.range) == [])
    memory.store(1, 4)
    #expect(try protection.writtenPages(of: memory.range) == memory.marked([4]))
  }
}
