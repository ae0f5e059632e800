internal import GuestMemory
internal import HyperVCore
internal import ZeroTracker

/// Checks before an answer that what it reports is zero: `--verify-zeroed`.
///
/// The guest and devices go on meanwhile. So a page that is not zero any more is no violation if
/// the tracker knows by now that somebody wrote it. All pages are read first, and those that are
/// not zero noted, a bit for each; then one look at the tracker judges all of them, as each look
/// costs a copy of its maps.
struct ZeroVerifier: Sendable {
  private let guest: GuestMemory
  private let snapshot: @Sendable () -> ZeroTrackerSnapshot
  private let isOver: @Sendable () -> Bool

  /// - Parameters:
  ///   - snapshot: what the tracker of `guest` knows, asked after the pages were read.
  ///   - isOver: whether the run ends, so that the rest of the search is not needed.
  init(
    guest: GuestMemory, snapshot: (@Sendable () -> ZeroTrackerSnapshot)? = nil,
    isOver: @escaping @Sendable () -> Bool = { false }
  ) {
    self.guest = guest
    self.snapshot = snapshot ?? { guest.tracker.snapshot() }
    self.isOver = isOver
  }

  /// Gives the ranges back if every page in them is zero; none if the run ended before that was
  /// known.
  ///
  /// - Throws: `.falseReport` for the first page of a range that is not, and `.memory`.
  func verified(_ ranges: [PageRange]) throws(MachineError) -> [PageRange] {
    let suspects: [PageSet]
    do throws(GuestMemoryError) { suspects = try self.suspects(in: ranges) } catch {
      throw .memory(error)
    }
    if isOver() { return [] }
    guard !suspects.isEmpty else { return ranges }
    let snapshot = snapshot()
    // Tracking ended meanwhile: what was written since is unknown.
    guard snapshot.isComplete else { return ranges }
    for (range, pages) in zip(ranges, suspects) {
      for page in pages.of(range) where snapshot.isUnwritten(page) {
        throw .falseReport(page: page, history: snapshot.whyWithheld(page).description)
      }
    }
    return ranges
  }

  /// The pages of each range that are not zero; empty if there are none at all.
  private func suspects(in ranges: [PageRange]) throws(GuestMemoryError) -> [PageSet] {
    var suspects: [PageSet] = []
    for (index, range) in ranges.enumerated() {
      func note(_ page: GPN) -> Bool {
        if suspects.isEmpty { suspects = Array(repeating: PageSet(), count: ranges.count) }
        suspects[index].insert(page, of: range)
        return true
      }
      try guest.forEachNonZeroPage(in: range, goesOn: { !isOver() }, note)
    }
    return suspects
  }
}

/// Pages of one range, a bit for each; no memory while there are none.
private struct PageSet {
  private var words: [UInt64] = []

  mutating func insert(_ page: GPN, of range: PageRange) {
    if words.isEmpty { words = Array(repeating: 0, count: Int((range.pageCount + 63) / 64)) }
    let bit = page.rawValue - range.start.rawValue
    words[Int(bit / 64)] |= 1 << (bit % 64)
  }

  /// The pages, ascending.
  func of(_ range: PageRange) -> some Sequence<GPN> {
    words.enumerated().lazy.filter { $0.element != 0 }.flatMap { index, word in
      let first = range.start.advanced(by: 64 * UInt64(index))
      return (0..<64 as Range<UInt64>).lazy.filter { bit in word >> bit & 1 != 0 }
        .map { bit in first.advanced(by: bit) }
    }
  }
}
