import Glibc
import HostPages
import TestSupport
import Testing
import ZeroTracker

@testable import GuestMemory

/// Zero pages of huge pages go back to the host, and nothing else changes.
@Suite(
  .enabled(if: HugePageTrimmer.obstacle == nil, "needs huge pages, and Linux 6.12"), .serialized)
struct HugePageTrimmerTests {
  private static let size = 2 << 20
  private static let endless = HugePageTrimmer.Budget(
    readByteCount: .max, milliseconds: 1_000_000_000)

  private func memory(_ byteCount: UInt64 = 16 * mebibyte) throws -> GuestMemory {
    let memory = try GuestMemory(
      layout: GuestMemoryLayout(ramByteCount: byteCount),
      granularity: TrackingGranularity(byteCount: 4096))
    // Huge pages are where a test makes them.
    // SAFETY: the region's memory.
    try #require(
      unsafe madvise(
        UnsafeMutableRawPointer(bitPattern: memory.mappedRegions[0].hostAddress), Int(byteCount),
        MADV_NOHUGEPAGE) == 0)
    return memory
  }

  /// Makes a huge page whose first `count` pages begin, or end, with a byte.
  private func fill(
    _ memory: GuestMemory, hugePage: Int, _ count: Int, mapping: Int = 0
  ) throws {
    let start = hugePage * Self.size
    let mapping = memory.mappings[mapping]
    // SAFETY: the same pages.
    unsafe _ = madvise(mapping.base + start, Self.size, MADV_HUGEPAGE)
    for page in 0..<count {
      unsafe mapping.bytes(start + page * 4096, 4096)[page % 2 * 4095] = UInt8(page % 255 + 1)
    }
    mapping.collapse(start, Self.size)
    let resident = try memory.residentByteCount()
    try #require(resident % UInt64(Self.size) == 0 && resident > 0, "no huge page: \(resident)")
  }

  private func isIntact(_ memory: GuestMemory, hugePage: Int, _ count: Int) -> Bool {
    let mapping = memory.mappings[0]
    return (0..<512).allSatisfy { page in
      let offset = hugePage * Self.size + page * 4096
      guard page < count else { return mapping.isZeroPage(offset) }
      let bytes = unsafe mapping.bytes(offset, 4096)
      let place = page % 2 * 4095
      return unsafe bytes[place] == UInt8(page % 255 + 1) && bytes[4095 - place] == 0
    }
  }

  @Test func whatIsZeroGoesBack() throws {
    let memory = try memory()
    let trimmer = try memory.trimmer()
    for hugePage in [0, 3, 7] { try fill(memory, hugePage: hugePage, 5) }
    #expect(try memory.residentByteCount() == 3 << 21)
    let outcome = trimmer.trim(Self.endless)
    #expect(outcome.splitCount == 3)
    #expect(outcome.refusedCount == 0)
    #expect(outcome.givenBackByteCount == 3 * 507 * 4096)
    #expect(outcome.readByteCount > 3 * 507 * 4096 && outcome.readByteCount < 3 << 21)
    #expect(try memory.residentByteCount() == 3 * 5 * 4096)
    for hugePage in [0, 3, 7] { #expect(isIntact(memory, hugePage: hugePage, 5)) }
    // The kernel does not put it together again, not even when it is asked.
    memory.mappings[0].collapse(3 * Self.size, Self.size)
    #expect(try memory.residentByteCount() == 3 * 5 * 4096)
    // Nothing is left to do.
    #expect(trimmer.trim(Self.endless) == HugePageTrimmer.Outcome())
    #expect(
      trimmer.totals
        == .init(callCount: 2, givenBackByteCount: 3 * 507 * 4096, splitCount: 3))
  }

  @Test(arguments: [(256, 1), (257, 0), (0, 1), (512, 0)])
  func pagesThatAreUsedStayHuge(count: Int, splitCount: Int) throws {
    let memory = try memory()
    try fill(memory, hugePage: 1, max(count, 1))
    if count == 0 { unsafe memory.mappings[0].bytes(Self.size, 1)[0] = 0 }
    let outcome = try memory.trimmer().trim(Self.endless)
    #expect(outcome.splitCount == splitCount)
    #expect(outcome.givenBackByteCount == UInt64(splitCount * (512 - count) * 4096))
    #expect(isIntact(memory, hugePage: 1, count))
  }

  @Test func theEmptiestComesFirst() throws {
    let memory = try memory()
    let counts = [200, 10, 100]
    for (hugePage, count) in counts.enumerated() {
      try fill(memory, hugePage: hugePage, count)
    }
    let trimmer = try memory.trimmer()
    for rest in [[200, 512, 100], [200, 512, 512], [512, 512, 512]] {
      let before = try memory.residentByteCount()
      let outcome = trimmer.trim(Self.endless) { (try? memory.residentByteCount()) == before }
      #expect(outcome.splitCount == 1)
      let resident = rest.enumerated().reduce(0) { sum, entry in
        sum + (entry.element == 512 ? counts[entry.offset] : 512)
      }
      let found = try memory.residentByteCount()
      #expect(found == UInt64(resident * 4096), "\(rest): \(found), before \(before)")
    }
  }

  /// What one call has no budget for is the next one's.
  @Test func aCallStaysWithinItsBudget() throws {
    let memory = try memory()
    let trimmer = try memory.trimmer()
    for hugePage in 0..<3 { try fill(memory, hugePage: hugePage, 1) }
    let nothing = HugePageTrimmer.Outcome()
    #expect(trimmer.trim(.init(readByteCount: 0, milliseconds: 1_000_000)) == nothing)
    #expect(trimmer.trim(.init(readByteCount: .max, milliseconds: 0)) == nothing)
    #expect(trimmer.trim(.init(readByteCount: -1, milliseconds: -1)) == nothing)
    #expect(trimmer.trim(Self.endless) { false } == nothing)
    for left in [2, 1, 0] as [UInt64] {
      let outcome = trimmer.trim(.init(readByteCount: 1, milliseconds: 1_000_000_000))
      #expect(outcome.splitCount == 1)
      #expect(try memory.residentByteCount() == left << 21 + (3 - left) * 4096)
    }
  }

  @Test func twoAtOnceDoNotWait() throws {
    let memory = try memory()
    let trimmer = try memory.trimmer()
    try fill(memory, hugePage: 2, 1)
    var inner: [HugePageTrimmer.Outcome] = []
    let outer = trimmer.trim(Self.endless) {
      inner.append(trimmer.trim(Self.endless))
      return true
    }
    #expect(outer.splitCount == 1)
    #expect(!inner.isEmpty && inner.allSatisfy { $0 == HugePageTrimmer.Outcome() })
  }

  /// Those of a device of the kernel, say: a page that somebody else holds stays where it is.
  @Test func whatIsPinnedStays() throws {
    let memory = try memory()
    let trimmer = try memory.trimmer()
    try fill(memory, hugePage: 4, 1)
    var ends: [Int32] = [0, 0]
    try #require(unsafe pipe(&ends) == 0)
    defer { for end in ends { close(end) } }
    var vector = unsafe iovec(
      iov_base: memory.mappings[0].base + 4 * Self.size + 300 * 4096, iov_len: 4096)
    // SAFETY: the page lives as long as the memory; the kernel copies the vector.
    try #require(unsafe vmsplice(ends[1], &vector, 1, 0) == 4096)
    var outcome = trimmer.trim(Self.endless)
    #expect(outcome.splitCount == 0)
    #expect(outcome.refusedCount == 1)
    #expect(outcome.givenBackByteCount == 0)
    #expect(try memory.residentByteCount() == 1 << 21)
    var bytes = [UInt8](repeating: 1, count: 4096)
    try #require(unsafe read(ends[0], &bytes, 4096) == 4096)
    #expect(bytes.allSatisfy { $0 == 0 })
    outcome = trimmer.trim(Self.endless)
    #expect(outcome.splitCount == 1)
    #expect(outcome.givenBackByteCount == 511 * 4096)
  }

  @Test func whatIsClaimedStays() throws {
    let memory = try memory()
    for hugePage in 0..<2 { try fill(memory, hugePage: hugePage, 1) }
    _ = try memory.claim(at: GPA(UInt64(Self.size) + 0x5000), byteCount: 1, owner: "a test")
    let outcome = try memory.trimmer().trim(Self.endless)
    #expect(outcome.splitCount == 1)
    #expect(try memory.residentByteCount() == 1 << 21 + 4096)
  }

  @Test(arguments: [(MemoryBacking.memfd, false), (.anonymous, true)])
  func otherMemoryStays(backing: MemoryBacking, preallocated: Bool) throws {
    let memory = try GuestMemory(
      layout: GuestMemoryLayout(ramByteCount: 16 * mebibyte), backing: backing,
      preallocated: preallocated, transparentHugePages: true)
    try memory.fill(at: GPA(0), byteCount: 4096, with: 1)
    let resident = try memory.residentByteCount()
    #expect(!memory.isTrimmable)
    #expect(try memory.trimmer().trim(Self.endless) == HugePageTrimmer.Outcome())
    #expect(try memory.residentByteCount() == resident)
  }

  @Test func memoryThatWasAddedIsTrimmed() throws {
    let memory = try GuestMemory(
      layout: GuestMemoryLayout(ramByteCount: 16 * mebibyte, growthByteCount: 128 * mebibyte))
    let trimmer = try memory.trimmer()
    _ = memory.grow(by: 128 * mebibyte) { _ in }
    try fill(memory, hugePage: 63, 1, mapping: 1)
    #expect(trimmer.trim(Self.endless).givenBackByteCount == 511 * 4096)
  }

  /// Every source says what it said before: no byte has changed.
  @Test(arguments: [true, false])
  func theTrackerStaysTrue(looks: Bool) throws {
    let memory = try memory()
    if looks {
      memory.tracker.attach(source: try memory.populationSource())
    } else {
      memory.tracker.attach(source: QuietGuest())
    }
    for hugePage in [0, 2, 5] { try fill(memory, hugePage: hugePage, looks ? 2 : 1) }
    try memory.store(1 as UInt8, at: GPA(0x3000))
    try memory.store(0 as UInt8, at: GPA(0x40_3000))
    // Marks of this process stay until they are settled.
    let withheld = memory.withheldPages
    #expect(withheld == (looks ? [0, 1, 3, 1024, 1025, 1027, 2560, 2561] : [3, 1027]))
    #expect(try memory.trimmer().trim(Self.endless).splitCount == 3)
    #expect(memory.withheldPages == withheld)
    memory.refine()
    #expect(memory.withheldPages == withheld.filter { $0 != 1027 })
  }
}

@_silgen_name("vmsplice")
private func vmsplice(
  _ descriptor: Int32, _ vector: UnsafePointer<iovec>, _ count: UInt, _ flags: UInt32
) -> Int
