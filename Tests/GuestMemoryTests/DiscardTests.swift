import GuestMemory
import HostSystem
import Synchronization
import TestSupport
import Testing
import ZeroTracker

@Suite struct DiscardTests {
  static let backings: [MemoryBacking] = [.anonymous, .memfd]

  @Test(arguments: backings)
  func discardFreesAndMakesReportable(backing: MemoryBacking) throws {
    // More than one piece of 64 MiB, cut in their midst.
    let memory = try makeMemory(160 * mebibyte, backing, granularity: 2 << 20)
    try memory.fill(at: GPA(0), byteCount: 160 << 20, with: 0xAA)
    #expect(try memory.residentByteCount() == 160 * mebibyte)
    #expect(memory.tracker.zeroedRanges(replyPage: nil).isEmpty)
    try memory.discard(at: GPA(8 * mebibyte), byteCount: 140 << 20)
    #expect(try memory.residentByteCount() == 20 * mebibyte)
    #expect(
      memory.tracker.zeroedRanges(replyPage: nil) == [
        PageRange(start: GPN(rawValue: 8 * 256), pageCount: 140 * 256)
      ])
    #expect(memory.isZero(at: GPA(8 * mebibyte), byteCount: 140 << 20))
    #expect(try memory.load(at: GPA(8 * mebibyte - 1), as: UInt8.self) == 0xAA)
    #expect(try memory.load(at: GPA(148 * mebibyte), as: UInt8.self) == 0xAA)
  }

  @Test(arguments: backings)
  func discardInTheUpperRegion(backing: MemoryBacking) throws {
    let memory = try makeMemory(2 * gibibyte + 2 * mebibyte, backing)
    let address = GPA(0x1_0000_0000)
    try memory.fill(at: address, byteCount: 2 << 20, with: 1)
    try memory.discard(at: address, byteCount: 1 << 20)
    #expect(try memory.load(at: address, as: UInt64.self) == 0)
    #expect(memory.withheldPages.count == 256)
  }

  @Test func guestPagesAreForgotten() throws {
    let memory = try makeMemory()
    let quiet = QuietGuest()
    quiet.written.withLock { $0 = [3, 4, 5] }
    let other = try GuestMemory(layout: memory.layout, granularity: .default)
    other.tracker.attach(source: quiet)
    #expect(other.withheldPages == [3, 4, 5])
    try other.discard(at: GPA(0x4000), byteCount: 0x1000)
    #expect(other.withheldPages == [3, 5])
  }

  @Test(arguments: [(1, 4096), (0, 4095), (2048, 4096), (4096, 1)] as [(UInt64, Int)])
  func onlyWholePages(address: UInt64, byteCount: Int) throws {
    let memory = try makeMemory()
    let error = GuestMemoryError.discardAlignment(.anonymous, GPA(address), byteCount: byteCount)
    #expect(throws: error) { try memory.discard(at: GPA(address), byteCount: byteCount) }
  }

  @Test func nothingToDiscard() throws {
    let memory = try makeMemory()
    try memory.write([1], at: GPA(0))
    try memory.discard(at: GPA(0), byteCount: 0)
    #expect(memory.withheldPages == [0])
  }

  @Test func claimsSurviveDiscards() throws {
    let memory = try makeMemory()
    memory.tracker.claim(PageRange(start: GPN(rawValue: 2), pageCount: 1))
    try memory.discard(at: GPA(0), byteCount: 16 << 20)
    #expect(memory.withheldPages == [2])
  }

  @Test func aWriterInsideMakesTheDiscardGiveUp() throws {
    let memory = try makeMemory()
    try memory.write([1], at: GPA(0))
    let outcome: Result<Void, GuestMemoryError>? = memory.withMutableBytes(
      at: GPA(0x8000), byteCount: 1
    ) { _ in
      Result { () throws(GuestMemoryError) in try memory.discard(at: GPA(0), byteCount: 4096) }
    }
    let error = GuestMemoryError.discardBusy(GPA(0), byteCount: 4096, waitedMilliseconds: 2000)
    #expect(throws: error) { try outcome?.get() }
    #expect(try memory.load(at: GPA(0), as: UInt8.self) == 1)
    try memory.discard(at: GPA(0), byteCount: 4096)
    #expect(memory.withheldPages == [8])
  }

  /// Writers, discards and answers at once. What a writer wrote is there, or was discarded; at rest
  /// every byte that is not zero is withheld.
  @Test(.timeLimit(.minutes(10)), arguments: backings)
  func theLawHoldsAmongWritersAndDiscards(backing: MemoryBacking) async throws {
    let memory = try makeMemory(mebibyte, backing)
    for round in 0..<5 as Range<UInt64> {
      await withTaskGroup(of: Void.self) { group in
        for writer in 0..<2 as Range<UInt64> {
          group.addTask {
            for step in 0..<2000 as Range<UInt64> {
              // Each writer has its own pages: the bytes themselves do not race.
              let page = (step &* 37 &+ round) % 128 * 2 + writer
              try? memory.store(step + 1, at: GPA(page * 4096))
            }
          }
        }
        group.addTask {
          for step in 0..<200 as Range<UInt64> {
            try? memory.discard(at: GPA(step * 4096), byteCount: 4096 * 8)
          }
        }
        group.addTask {
          for _ in 0..<100 { _ = memory.tracker.zeroedRanges(replyPage: nil) }
        }
      }
      let withheld = Set(memory.withheldPages)
      for page in 0..<256 as Range<UInt64> where !withheld.contains(page) {
        #expect(
          memory.isZero(at: GPA(page * 4096), byteCount: 4096), "page \(page) round \(round)")
      }
    }
  }
}
