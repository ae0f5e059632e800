import Glibc
import GuestMemory
import Synchronization
import TestSupport
import VMM
import ZeroTracker

/// A VMM thread that writes to random pages, by every way that `GuestMemory` has, or by a wrong
/// one.
struct StormWriter {
  enum Way: CaseIterable {
    case store, write, fill, lent
    /// Bytes, then `done`, and only then the mark: what `GuestMemory` must never do.
    case markingLast
  }

  let memory: GuestMemory
  let checker: StormChecker
  var random: SeededGenerator
  /// Only for `markingLast`.
  let arena: RawArena

  /// One write, or several to adjoining pages.
  mutating func write(_ way: Way) throws {
    let page = Int.random(in: 0..<StormLayout.arenaPageCount, using: &random)
    let offset = UInt64.random(in: 0..<512, using: &random) * 8
    let address = GPA(StormLayout.address(ofPage: page).rawValue + offset)
    let value = random.next() | 1
    switch way {
    case .store:
      try noting(page..<(page + 1)) { try memory.store(value, at: address) }
    case .write:
      try noting(page..<(page + 1)) {
        try memory.write([UInt8](repeating: UInt8(value & 0xFF), count: 8), at: address)
      }
    case .fill:
      try noting(page..<(page + 1)) {
        try memory.fill(
          at: StormLayout.address(ofPage: page), byteCount: 4096, with: UInt8(value & 0xFF))
      }
    case .lent:
      writeLent(page, offset: Int(offset), value)
    case .markingLast:
      let epoch = checker.epoch.load(0)
      arena.store(value, page: page, offset: Int(offset))
      checker.done.store(epoch, at: page)
      checker.counts.hostWrites.count()
      waitForAnswers(Self.answersBeforeMark)
      memory.tracker.markTouched(arena.pages(page))
    }
  }

  /// Of one caller's two, the second was called with the note in its hands.
  static let answersBeforeMark = 2 * StormLayout.callerCount

  /// Until so many more answers were given, by count and not by time. Bounded, as a storm that ends
  /// answers no more.
  private func waitForAnswers(_ count: Int) {
    let end = checker.counts.answers.count + count
    for _ in 0..<2000 where checker.counts.answers.count < end {
      TestThreads.nap(microseconds: 50)
    }
  }

  /// Loads the epoch, writes, and says of the pages that they are written.
  private func noting(_ pages: Range<Int>, _ write: () throws -> Void) throws {
    let epoch = checker.epoch.load(0)
    try write()
    for page in pages {
      checker.done.store(epoch, at: page)
      checker.counts.hostWrites.count()
    }
  }

  /// Up to 16 pages in one loan, each noted as soon as it is written: the loan, with its mark, is
  /// older than the epoch of its last pages, and its end is far behind the first page's note.
  private mutating func writeLent(_ page: Int, offset: Int, _ value: UInt64) {
    let pageCount = min(
      Int.random(in: 1...16, using: &random), StormLayout.arenaPageCount - page)
    let yields = Int.random(in: 0..<8, using: &random) == 0
    memory.withMutableBytes(
      at: StormLayout.address(ofPage: page), byteCount: pageCount * 4096
    ) { bytes in
      for index in 0..<pageCount {
        let epoch = checker.epoch.load(0)
        bytes.storeBytes(of: value, toByteOffset: index * 4096 + offset, as: UInt64.self)
        checker.done.store(epoch, at: page + index)
        checker.counts.hostWrites.count()
        if yields { _ = sched_yield() }
      }
    }
  }
}
