import GuestMemory
import TestSupport
import Testing
import ZeroTracker

/// Each test enlarges the host's pool of 2 MiB pages and gives them back.
@Suite(
  .serialized, .timeLimit(.minutes(10)),
  .enabled(if: HugePagePool.isAvailable, "needs to write /proc/sys/vm/nr_hugepages, and memory"))
struct HugePageTests {
  @Test func refinementReadsMappedHugePagesOnly() throws {
    let pool = try HugePagePool(adding: 8)
    let memory = try makeMemory(16 * mebibyte, .hugetlb, granularity: 4 << 20)
    try memory.store(1 as UInt8, at: GPA(0x5000))
    memory.refine()
    // The chunk's second huge page was never used; where it is the kernel does not tell.
    #expect(memory.withheldPages == [5] + Array(512..<1024))
    #expect(try memory.residentByteCount() == 2 * mebibyte)
    _ = consume pool
  }

  @Test(arguments: [false, true])
  func memoryStartsZeroAndReportable(preallocated: Bool) throws {
    let pool = try HugePagePool(adding: 4)
    let memory = try makeMemory(8 * mebibyte, .hugetlb, preallocated: preallocated)
    #expect(try memory.residentByteCount() == (preallocated ? 8 * mebibyte : 0))
    #expect(memory.withheldPages.isEmpty)
    try memory.write([1, 2], at: GPA(4 * mebibyte - 1))
    #expect(memory.withheldPages == [1023, 1024])
    #expect(try memory.residentByteCount() == (preallocated ? 8 * mebibyte : 4 * mebibyte))
    _ = consume memory
    _ = consume pool
  }

  @Test func discardFreesWholePagesAndKeepsThemReserved() throws {
    let pool = try HugePagePool(adding: 4)
    let memory = try makeMemory(8 * mebibyte, .hugetlb, granularity: 65536)
    try memory.fill(at: GPA(0), byteCount: 8 << 20, with: 1)
    let reservedBefore = HugePagePool.count("HugePages_Rsvd")
    try memory.discard(at: GPA(2 * mebibyte), byteCount: 4 << 20)
    #expect(HugePagePool.count("HugePages_Rsvd") == reservedBefore + 2)
    #expect(try memory.residentByteCount() == 4 * mebibyte)
    #expect(
      memory.tracker.zeroedRanges(replyPage: nil) == [
        PageRange(start: GPN(rawValue: 512), pageCount: 1024)
      ])
    #expect(try memory.load(at: GPA(2 * mebibyte), as: UInt64.self) == 0)
    let error = GuestMemoryError.discardAlignment(.hugetlb, GPA(4096), byteCount: 4096)
    #expect(throws: error) { try memory.discard(at: GPA(4096), byteCount: 4096) }
    _ = consume memory
    _ = consume pool
  }

  @Test func tooFewPagesAreAnErrorAtOnce() throws {
    let pool = try HugePagePool(adding: 2)
    let free = HugePagePool.count("HugePages_Free")
    let layout = try GuestMemoryLayout(ramByteCount: UInt64(free + 1) * 2 * mebibyte)
    do {
      _ = try GuestMemory(layout: layout, backing: .hugetlb)
      Issue.record("more huge pages than there are")
    } catch {
      #expect("\(error)".contains("ENOMEM"))
      #expect("\(error)".contains("echo N > /proc/sys/vm/nr_hugepages"))
    }
    _ = consume pool
  }
}

@Suite struct HugePageSizeTests {
  @Test(arguments: [mebibyte, 3 * mebibyte, 2 * gibibyte + 4096])
  func onlyMultiplesOf2MiB(byteCount: UInt64) throws {
    let layout = try GuestMemoryLayout(ramByteCount: byteCount)
    #expect(throws: GuestMemoryError.self) {
      try GuestMemory(layout: layout, backing: .hugetlb)
    }
  }
}
