import Foundation
import HostPages
import Synchronization
import TestSupport
import Testing

/// Ranges of all lengths, and more than one call to the kernel.
@Suite(
  .serialized, .timeLimit(.minutes(10)),
  .enabled(if: WriteProtection.obstacle() == nil, "needs userfaultfd WP_ASYNC and PAGEMAP_SCAN"))
struct ScanTests {
  private static let small: [Backing] = [.anonymous, .transparentHuge, .memfd]

  @Test(arguments: small, [1, 2, 63, 64, 65, 127, 128, 129, 1000])
  func everyLengthAndEveryPageOfIt(backing: Backing, pageCount: Int) throws {
    let memory = try TestMemory(backing, isPopulated: true)
    // Neither the range nor the pages around it start at a word.
    let pages = 13..<13 + pageCount
    let range = memory.range(pages)
    let protection = try WriteProtection([range])
    try protection.arm()
    memory.store(1, pages.lowerBound - 1)
    memory.store(1, pages.upperBound)
    #expect(try protection.writtenPages(of: range) == [])
    memory.store(1, pages.lowerBound)
    #expect(try protection.writtenPages(of: range) == [0])
    memory.store(1, pages.upperBound - 1)
    #expect(try protection.writtenPages(of: range) == [0, pageCount - 1])
    for page in pages { memory.store(1, page) }
    #expect(try protection.writtenPages(of: range) == Set(0..<pageCount))
  }

  /// 8192 regions for 1024 that fit into one answer.
  @Test(arguments: small, [false, true])
  func alternatingPages(backing: Backing, isPopulated: Bool) throws {
    let memory = try TestMemory(backing, pageCount: 16384, isPopulated: isPopulated)
    let protection = try WriteProtection([memory.range])
    try protection.arm()
    for page in stride(from: 1, to: 16384, by: 2) { memory.store(0, page) }
    let odd = Set(stride(from: 1, to: 16384, by: 2))
    #expect(try protection.writtenPages(of: memory.range) == odd)
    if backing == .memfd && hasSwap { return }
    for page in stride(from: 1, to: 16384, by: 4) { try memory.discard(page..<page + 1) }
    #expect(try protection.writtenPages(of: memory.range) == odd.filter { $0 % 4 == 3 })
  }

  @Test(arguments: small, [1, 2, 3])
  func randomRunsAgainstAModel(backing: Backing, seed: UInt64) throws {
    let memory = try TestMemory(backing, pageCount: 4096)
    let protection = try WriteProtection([memory.range])
    try protection.arm()
    var generator = SeededGenerator(seed: seed)
    var model: Set<Int> = []
    for round in 0..<40 {
      let first = Int.random(in: 0..<4096, using: &generator)
      let pages = first..<min(4096, first + Int.random(in: 1...200, using: &generator))
      let mayDiscard = backing != .memfd || !hasSwap
      if round % 4 == 3 && mayDiscard {
        try memory.discard(pages)
        model.subtract(pages)
      } else {
        for page in pages { memory.store(UInt8(round), page) }
        model.formUnion(pages)
      }
      #expect(
        try protection.writtenPages(of: memory.range) == model, "seed \(seed), round \(round)")
    }
  }

  /// More than 1 GiB, which is what one call does at most, and not at its multiples.
  @Test func pagesAroundGibibyteBorders() throws {
    let pageCount = 2 << 18
    let memory = try TestMemory(.anonymous, pageCount: pageCount)
    let range = memory.range(1..<pageCount)
    let border = Int((1 << 30 - range.start % (1 << 30)) / 4096)
    let written = [0, border - 1, border, border + 1, border + 1 << 17, pageCount - 2]
      .filter { $0 < pageCount - 1 }
    let protection = try WriteProtection([range])
    try protection.arm()
    for page in written { memory.store(1, page + 1) }
    #expect(try protection.writtenPages(of: range) == Set(written))
  }

  @Test func severalRangesAreApart() throws {
    let memory = try TestMemory(.anonymous)
    let file = try TestMemory(.memfd)
    let ranges = [memory.range(0..<100), memory.range(200..<300), file.range(64..<128)]
    let protection = try WriteProtection(ranges)
    try protection.arm()
    memory.store(1, 99)
    memory.store(1, 150)
    memory.store(1, 201)
    file.store(1, 64)
    #expect(try protection.writtenPages(of: ranges[0]) == [99])
    #expect(try protection.writtenPages(of: ranges[1]) == [1])
    #expect(try protection.writtenPages(of: ranges[2]) == [0])
  }

  @Test func bitsAreAddedAndNeverCleared() throws {
    let memory = try TestMemory(.anonymous)
    let range = memory.range(0..<65)
    let protection = try WriteProtection([range])
    try protection.arm()
    memory.store(1, 1)
    memory.store(1, 64)
    let before: [UInt64] = [0xF000_0000_0000_0001, 0xAAAA_AAAA_AAAA_AAA0, 0x1234_5678_9ABC_DEF0]
    var words = before
    var span = words.mutableSpan
    try protection.readWrittenPages(of: range, into: &span)
    #expect(words == [before[0] | 2, before[1] | 1, before[2]])
  }

  /// Every page that was written before a scan began must be in its answer.
  @Test(arguments: Memory.all)
  func writesDuringScansAreNotLost(kind: Memory) throws {
    let memory = try kind.make(pageCount: 4096)
    let protection = try WriteProtection([memory.range])
    try protection.arm()
    let progress = Progress()
    let thread = Thread {
      for page in 0..<4096 {
        memory.store(1, page)
        progress.writtenCount.store(page + 1, ordering: .releasing)
      }
    }
    thread.start()
    var isDone = false
    while !isDone {
      let writtenCount = progress.writtenCount.load(ordering: .acquiring)
      isDone = writtenCount == 4096
      let noted = try protection.writtenPages(of: memory.range)
      #expect(noted.isSuperset(of: 0..<writtenCount))
      // A page that is noted was written, or its huge page was; nothing behind the writer is.
      let latest = progress.writtenCount.load(ordering: .acquiring)
      let limit = memory.marked([min(latest, 4095)]).max() ?? 0
      #expect(noted.allSatisfy { $0 <= limit })
    }
  }
}

private final class Progress: Sendable {
  let writtenCount = Atomic(0)
}
