import HyperVCore
import TestSupport
import Testing

@Suite("Which ranges a guest may get", .onVCPUThread)
struct BootZeroedSelectionTests {
  struct Vector: Sendable, CustomTestStringConvertible {
    let name: String
    let given: [BootZeroedRange]
    let kept: [BootZeroedRange]
    var testDescription: String { name }

    init(_ name: String, _ given: [(UInt64, UInt64)], _ kept: [(UInt64, UInt64)]) {
      self.name = name
      self.given = given.map { BootZeroedRange(startPage: $0.0, pageCount: $0.1) }
      self.kept = kept.map { BootZeroedRange(startPage: $0.0, pageCount: $0.1) }
    }
  }

  static let top: UInt64 = 1 << 52

  /// The reply lies in page 100.
  static let vectors = [
    Vector("nothing", [], []),
    Vector("elsewhere below", [(0, 100)], [(0, 100)]),
    Vector("elsewhere above", [(101, 5)], [(101, 5)]),
    Vector("the reply page alone", [(100, 1)], []),
    Vector("the reply page first", [(100, 3)], [(101, 2)]),
    Vector("the reply page last", [(98, 3)], [(98, 2)]),
    Vector("the reply page inside", [(90, 30)], [(101, 19), (90, 10)]),
    Vector("the reply page in the middle", [(98, 5)], [(98, 2), (101, 2)]),
    Vector(
      "the reply page in several", [(100, 2), (99, 2), (90, 15)],
      [(90, 10), (101, 4), (101, 1), (99, 1)]),
    Vector("empty", [(5, 0), (100, 0), (top, 0)], []),
    Vector("up to the end of the GPA space", [(top - 1, 1)], [(top - 1, 1)]),
    Vector("past the GPA space by one", [(top - 1, 2)], []),
    Vector("starting past the GPA space", [(top, 1)], []),
    Vector("sum past 64 bits", [(.max, 1), (.max, .max), (1, .max)], []),
    Vector("the whole GPA space", [(0, top)], [(101, top - 101), (0, 100)]),
    Vector("unsorted", [(0, 1), (10, 3), (20, 2)], [(10, 3), (20, 2), (0, 1)]),
    Vector(
      "ties keep their order", [(30, 2), (10, 2), (50, 9), (20, 2)],
      [(50, 9), (30, 2), (10, 2), (20, 2)]),
    Vector("bad ones do not spoil good ones", [(7, 0), (1, 1), (.max, 9)], [(1, 1)]),
  ]

  @Test("vectors", arguments: vectors)
  func vector(vector: Vector) {
    let reply = BootZeroedMemoryReply(zeroedRanges: vector.given, excludingPage: 100)
    #expect(reply.ranges == vector.kept)
  }

  @Test("the 255 largest are kept, not the first 255")
  func largest() {
    let given = (1...1000).map { BootZeroedRange(startPage: $0 * 10_000, pageCount: $0) }
    let reply = BootZeroedMemoryReply(zeroedRanges: given, excludingPage: 0)
    #expect(reply.ranges == Array(given.reversed().prefix(255)))
  }

  @Test("against a model, page by page", arguments: seeds)
  func model(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<100 {
      let replyPage = UInt64.random(in: 0..<64, using: &generator)
      let given = (0..<Int.random(in: 0...8, using: &generator)).map { _ in
        BootZeroedRange(
          startPage: .random(in: 0..<64, using: &generator),
          pageCount: .random(in: 0..<16, using: &generator))
      }
      let reply = BootZeroedMemoryReply(zeroedRanges: given, excludingPage: replyPage)
      let expected = given.flatMap { $0.startPage..<$0.startPage + $0.pageCount }
        .filter { $0 != replyPage }
      let reported = reply.ranges.flatMap { $0.startPage..<$0.startPage + $0.pageCount }
      #expect(reported.sorted() == expected.sorted(), "seed \(seed)")
      let counts = reply.ranges.map(\.pageCount)
      #expect(counts == counts.sorted(by: >), "seed \(seed)")
      #expect(!counts.contains(0), "seed \(seed)")
    }
  }
}
