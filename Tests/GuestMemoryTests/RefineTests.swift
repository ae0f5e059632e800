import GuestMemory
import Testing
import ZeroTracker

@Suite struct RefineTests {
  static let backings: [MemoryBacking] = [.anonymous, .memfd]
  private static let chunk: UInt64 = 2 << 20

  @Test(arguments: backings, [false, true])
  func onlyPagesWithBytesStayWithheld(backing: MemoryBacking, preallocated: Bool) throws {
    let memory = try makeMemory(
      16 * mebibyte, backing, preallocated: preallocated, granularity: Self.chunk)
    try memory.store(1 as UInt8, at: GPA(0x5FFF))
    try memory.fill(at: GPA(0x8000), byteCount: 4096, with: 0)
    try memory.store(1 as UInt8, at: GPA(2 * Self.chunk))
    let resident = try memory.residentByteCount()
    #expect(memory.withheldPages.count == 1024)
    memory.refine()
    #expect(memory.withheldPages == [5, 1024])
    #expect(try memory.residentByteCount() == resident)
    // What is written later is withheld by the chunk, and can be refined again.
    try memory.store(1 as UInt8, at: GPA(0x9000))
    #expect(memory.withheldPages.count == 513)
    memory.refine()
    #expect(memory.withheldPages == [5, 9, 1024])
  }

  @Test func claimedChunksAreLeftAlone() throws {
    let memory = try makeMemory(granularity: Self.chunk)
    memory.tracker.claim(PageRange(start: GPN(rawValue: 0), pageCount: 1))
    #expect(memory.refine() == 0)
    #expect(memory.withheldPages.count == 512)
  }

  @Test func theBudgetEndsTheReading() throws {
    let memory = try makeMemory(64 * mebibyte, preallocated: true, granularity: 65536)
    try memory.fill(at: GPA(0), byteCount: 64 << 20, with: 0)
    #expect(memory.withheldPages.count == 16384)
    // Pieces are 4 MiB: the budget is passed by less than that.
    #expect(memory.refine(.init(readByteCount: 5 << 20)) == 8 << 20)
    #expect(memory.withheldPages.count == 16384 - 2048)
    #expect(memory.refine(.none) == 0)
    #expect(memory.withheldPages.count == 16384 - 2048)
    #expect(memory.refine() == 56 << 20)
    #expect(memory.withheldPages.isEmpty)
  }

  @Test func absentPagesCountForLittle() throws {
    // Each 32 MiB chunk has one present page: 8 chunks are looked at for 4 MiB of budget, in
    // pieces.
    let memory = try makeMemory(512 * mebibyte, .memfd, granularity: 32 << 20)
    for chunk in 0..<16 as Range<UInt64> {
      try memory.store(1 as UInt8, at: GPA(chunk * 32 * mebibyte))
    }
    #expect(memory.refine(.init(readByteCount: 4 << 20)) == 4096)
    #expect(memory.refine(.init(readByteCount: 64 << 20)) == 15 * 4096)
    #expect(memory.withheldPages.count == 16)
  }

  @Test func aWriterInsideKeepsItsPieceWithheld() throws {
    let memory = try makeMemory(granularity: Self.chunk)
    let read = memory.withMutableBytes(at: GPA(0), byteCount: 1) { _ in memory.refine() }
    #expect(read == 0)
    #expect(memory.withheldPages.count == 512)
    memory.refine()
    #expect(memory.withheldPages.isEmpty)
  }

  /// Writers, refinement and answers at once; at rest every byte that is not zero is withheld.
  @Test(.timeLimit(.minutes(10)), arguments: backings)
  func theLawHoldsAmongWriters(backing: MemoryBacking) async throws {
    for round in 0..<20 as Range<UInt64> {
      let memory = try makeMemory(4 * mebibyte, backing, granularity: Self.chunk)
      await withTaskGroup(of: Void.self) { group in
        for writer in 0..<2 as Range<UInt64> {
          group.addTask {
            for step in 0..<500 as Range<UInt64> {
              let page = (step &* 37 &+ round) % 512 * 2 + writer
              try? memory.store(step + 1, at: GPA(page * 4096 + step % 512 * 8))
            }
          }
        }
        group.addTask {
          for _ in 0..<100 { memory.refine() }
        }
      }
      let withheld = Set(memory.withheldPages)
      for page in 0..<1024 as Range<UInt64> where !withheld.contains(page) {
        #expect(
          memory.isZero(at: GPA(page * 4096), byteCount: 4096), "page \(page) round \(round)")
      }
    }
  }
}
