import Glibc
import HostPages
import HostSystem
import Testing
import ZeroTracker

@testable import GuestMemory

/// Which pages are zero, by what the host has populated and what is in it.
@Suite(.enabled(if: PopulatedPages.obstacle() == nil, "needs PAGEMAP_SCAN"))
struct PopulationSourceTests {
  /// Whether this is a build with `--sanitize=thread`.
  // SAFETY: a constant name; nil searches the whole process.
  private static let isUnderThreadSanitizer = unsafe dlsym(nil, "__tsan_init") != nil

  private final class Flag: Sendable {
    let value = Guarded(false)
  }

  private static let backings: [MemoryBacking] = [.anonymous, .memfd]

  /// Memory that is looked at, with a touched map of 64 KiB.
  private func memory(
    _ byteCount: UInt64 = 16 * mebibyte, _ backing: MemoryBacking = .anonymous,
    budget: GuestMemory.RefinementBudget = .default, preallocated: Bool = false
  ) throws -> GuestMemory {
    let memory = try GuestMemory(
      layout: GuestMemoryLayout(ramByteCount: byteCount), backing: backing,
      preallocated: preallocated)
    memory.tracker.attach(source: try memory.populationSource(budget))
    for region in memory.mappedRegions {
      // Single pages, whatever the host is set to.
      // SAFETY: the region's memory.
      try #require(
        unsafe madvise(
          UnsafeMutableRawPointer(bitPattern: region.hostAddress), Int(region.byteCount),
          MADV_NOHUGEPAGE) == 0)
    }
    return memory
  }

  /// A store past everybody, as a guest or a device makes it.
  private func poke(_ memory: GuestMemory, page: UInt64, _ value: UInt8, offset: UInt64 = 4095) {
    let region = memory.mappedRegions[0]
    // SAFETY: an address in the region, which lives as long as the memory.
    unsafe UnsafeMutablePointer<UInt8>(
      bitPattern: region.hostAddress + UInt(page * 4096 + offset))!.pointee = value
  }

  @Test(arguments: backings, [false, true])
  func onlyBytesCount(backing: MemoryBacking, preallocated: Bool) throws {
    let memory = try memory(16 * mebibyte, backing, preallocated: preallocated)
    #expect(memory.withheldPages == [])
    poke(memory, page: 5, 1)
    poke(memory, page: 6, 0)
    poke(memory, page: 4095, 7, offset: 0)
    #expect(memory.withheldPages == [5, 4095])
    // What is zero again is reported again: nothing was noted.
    poke(memory, page: 5, 0)
    #expect(memory.withheldPages == [4095])
  }

  @Test(arguments: backings)
  func lookingPopulatesNothing(backing: MemoryBacking) throws {
    let memory = try memory(16 * mebibyte, backing)
    poke(memory, page: 100, 1)
    let resident = try memory.residentByteCount()
    #expect(memory.withheldPages == [100])
    #expect(try memory.residentByteCount() == resident)
  }

  /// The VMM's marks are coarse until they are settled; then its bytes are seen like all others.
  @Test(arguments: backings)
  func settledMarksAreExact(backing: MemoryBacking) throws {
    let memory = try memory(16 * mebibyte, backing)
    try memory.store(1 as UInt8, at: GPA(0x2_3000))
    try memory.fill(at: GPA(0x8_0000), byteCount: 4096, with: 0)
    #expect(memory.withheldPages == Array(0x20..<0x30) + Array(0x80..<0x90))
    #expect(memory.refine() == 0)
    #expect(memory.withheldPages == [0x23])
    // Whose they are is not forgotten, as far as it can be known.
    poke(memory, page: 0x200, 1)
    let counts = memory.tracker.snapshot().total
    #expect(counts.touched == 1)
    #expect(counts.written == 1)
    // A later writer marks again.
    try memory.store(0 as UInt8, at: GPA(0x2_3000))
    #expect(memory.withheldPages == Array(0x20..<0x30) + [0x200])
  }

  @Test func aWriterInsideKeepsItsMark() throws {
    let memory = try memory()
    memory.withMutableBytes(at: GPA(0x2_0000), byteCount: 1) { _ in _ = memory.refine() }
    #expect(memory.withheldPages == Array(0x20..<0x30))
    memory.refine()
    #expect(memory.withheldPages == [])
  }

  @Test func claimsStay() throws {
    let memory = try memory()
    _ = try memory.claim(at: GPA(0x2_0000), byteCount: 4096, owner: "a test")
    memory.refine()
    #expect(memory.withheldPages == Array(0x20..<0x30))
  }

  /// A page that will have a reply counts as written in every answer, until it is discarded.
  @Test func replyPagesStayWithheld() throws {
    let memory = try memory()
    _ = memory.tracker.zeroedRanges(replyPage: GPN(rawValue: 9))
    memory.refine()
    #expect(memory.withheldPages == [9])
    try memory.discard(at: GPA(9 << 12), byteCount: 4096)
    #expect(memory.withheldPages == [])
  }

  @Test(arguments: backings)
  func discardedIsZeroAgain(backing: MemoryBacking) throws {
    let memory = try memory(16 * mebibyte, backing)
    try memory.fill(at: GPA(0x10_0000), byteCount: 64 * 4096, with: 9)
    memory.refine()
    #expect(memory.withheldPages.count == 64)
    try memory.discard(at: GPA(0x10_0000), byteCount: 32 * 4096)
    #expect(memory.withheldPages == Array(0x120..<0x140))
  }

  /// A file's bytes that come by no page table of this process.
  @Test func writesToTheFileAreSeen() throws {
    let memory = try memory(16 * mebibyte, .memfd)
    poke(memory, page: 0, 1)
    let descriptor = memory.mappings[0].descriptor
    let bytes: [UInt8] = [1]
    #expect(unsafe pwrite(descriptor, bytes, 1, 77 * 4096) == 1)
    #expect(memory.withheldPages == [0, 77])
  }

  @Test func pagesOfOtherMemoryAreRefused() throws {
    let source = try memory().populationSource()
    var words = [UInt64](repeating: 0, count: 1)
    let error = #expect(throws: GuestMemoryError.self) {
      var span = words.mutableSpan
      try source.readWrittenPages(
        of: PageRange(start: GPN(rawValue: 1), pageCount: 2), into: &span)
    }
    guard case .notRAM(GPA(0x1000), byteCount: 0x2000) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  /// The longest runs are read first; what is not read is withheld, in that answer only.
  @Test func theBudgetBoundsTheReading() throws {
    let memory = try memory(budget: .init(readByteCount: 8 * 4096))
    for page in 0x100..<0x108 as Range<UInt64> { poke(memory, page: page, 0) }
    for page in [3, 7, 11] as [UInt64] { poke(memory, page: page, 0) }
    #expect(memory.withheldPages == [3, 7, 11])
    let region = memory.mappedRegions[0]
    // SAFETY: whole pages of the region.
    #expect(
      unsafe madvise(
        UnsafeMutableRawPointer(bitPattern: region.hostAddress + 0x10_0000), 8 * 4096,
        MADV_DONTNEED) == 0)
    #expect(memory.withheldPages == [])
  }

  @Test func withoutABudgetNothingPopulatedIsReported() throws {
    let memory = try memory(budget: .none)
    poke(memory, page: 3, 0)
    #expect(memory.withheldPages == [3])
  }

  /// Every second page: more runs than are kept.
  @Test func hostilePatterns() throws {
    let memory = try memory(budget: .init(readByteCount: 16 * 4096))
    for page in stride(from: 0, to: 4096, by: 2) as StrideTo<UInt64> { poke(memory, page: page, 0) }
    #expect(memory.withheldPages.count == 2048 - 16)
  }

  /// A page that has bytes at every instant is never zero, however it is filled and cleared while
  /// it is read: each byte has to be seen as zero, and it is not enough that all are equal.
  @Test(
    .disabled(if: isUnderThreadSanitizer, "races for bytes of guest memory, as guests do"),
    .timeLimit(.minutes(10)))
  func aPageThatIsFilledMeanwhile() async throws {
    let memory = try memory(4 * mebibyte)
    let address = memory.mappedRegions[0].hostAddress + 7 * 4096
    let isOver = Flag()
    poke(memory, page: 7, 0xEE, offset: 2048)
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        // SAFETY: the page, whose memory lives until the group ends.
        let page = unsafe UnsafeMutableRawPointer(bitPattern: address)!
        while !isOver.value.withLock({ $0 }) {
          _ = unsafe memset(page, 0xEE, 4096)
          _ = unsafe memset(page, 0, 2048)
          _ = unsafe memset(page + 2049, 0, 2047)
        }
      }
      group.addTask {
        for round in 0..<60_000 {
          let ranges = memory.tracker.zeroedRanges(replyPage: nil)
          if ranges.contains(where: { $0.contains(GPN(rawValue: 7)) }) {
            Issue.record("reported in round \(round)")
            break
          }
        }
        isOver.value.withLock { $0 = true }
      }
    }
  }

  /// Guests write while it is looked at; in the end every byte that is not zero is withheld.
  @Test(
    .disabled(if: isUnderThreadSanitizer, "races for bytes of guest memory, as guests do"),
    .timeLimit(.minutes(10)), arguments: backings)
  func theLawHoldsAmongWriters(backing: MemoryBacking) async throws {
    for round in 0..<10 as Range<UInt64> {
      let memory = try memory(4 * mebibyte, backing)
      await withTaskGroup(of: Void.self) { group in
        group.addTask {
          for step in 0..<500 as Range<UInt64> {
            try? memory.store(step + 1, at: GPA((step &* 37 &+ round) % 512 * 8192))
          }
        }
        group.addTask {
          for step in 0..<500 as Range<UInt64> {
            poke(memory, page: (step &* 61 &+ round) % 512 * 2 + 1, UInt8(step % 255) + 1)
          }
        }
        group.addTask {
          for _ in 0..<20 {
            memory.refine()
            _ = memory.tracker.zeroedRanges(replyPage: nil)
          }
        }
      }
      memory.refine()
      for range in memory.tracker.zeroedRanges(replyPage: nil, limit: .max) {
        #expect(
          memory.isZero(at: GPA(range.start)!, byteCount: Int(range.pageCount) * 4096),
          "round \(round), \(range)")
      }
    }
  }
}
