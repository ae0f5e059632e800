/// Cuts pages of one region into runs of one state, in one pass over the words.
///
/// Words that equal the one before are skipped if that is all in one state, so that memory in few
/// stretches costs little more than loading it.
struct StretchScanner {
  private let region: RegionSnapshot
  private let isComplete: Bool
  /// First page and state of the run that reaches up to the current page.
  private var open: (start: UInt64, state: PageState)?

  init(_ region: RegionSnapshot, isComplete: Bool) {
    self.region = region
    self.isComplete = isComplete
  }

  /// Gives each run in `pages` to `body`, ascending. `reported` is ascending and disjoint.
  mutating func scan(
    _ pages: PageRange, reported: ArraySlice<PageRange>, _ body: (MemoryStretch) -> Void
  ) {
    let pages = pages.intersection(region.range)
    guard !pages.isEmpty else { return }
    var next = pages.start
    for range in reported {
      let common = range.intersection(pages)
      guard !common.isEmpty else { continue }
      scanUnreported(PageRange(start: next, end: common.start), body)
      enter(.reported, at: common.start.rawValue, body)
      next = common.end
    }
    scanUnreported(PageRange(start: next, end: pages.end), body)
    close(at: pages.end.rawValue, body)
  }

  private mutating func scanUnreported(_ pages: PageRange, _ body: (MemoryStretch) -> Void) {
    let bits = pages.bits(in: region.range)
    guard !bits.isEmpty else { return }
    let base = region.range.start.rawValue
    var position = bits.lowerBound
    while position < bits.upperBound {
      let index = position / 64
      let end = min(index * 64 + 64, bits.upperBound)
      let word = region.word(index)
      while position < end {
        let (state, same) = state(of: word, at: UInt64(position % 64))
        enter(state, at: base &+ UInt64(position), body)
        // Bits above 63 shift in as zeros, so a run ends there at the latest.
        let length = (~(same >> UInt64(position % 64))).trailingZeroBitCount
        position = length == 64 ? end : min(position + length, end)
        if same == .max, position == end {
          // A word all in one state: so are the equal ones behind it.
          while position + 64 <= bits.upperBound, region.word(position / 64) == word {
            position += 64
          }
          break
        }
      }
    }
  }

  /// The state of one page of a word, and the pages of the word that share it.
  private func state(of word: RegionSnapshot.Word, at bit: UInt64) -> (PageState, UInt64) {
    let claimed = word.claimed
    let written = word.written & ~claimed
    let touched = word.touched & ~(claimed | written)
    let mask: UInt64 = 1 << bit
    if claimed & mask != 0 { return (.claimed, claimed) }
    if written & mask != 0 { return (.written, written) }
    if touched & mask != 0 { return (.touched, touched) }
    return (isComplete ? .zeroed : .unknown, ~(claimed | written | touched))
  }

  private mutating func enter(
    _ state: PageState, at page: UInt64, _ body: (MemoryStretch) -> Void
  ) {
    if open?.state == state { return }
    close(at: page, body)
    open = (page, state)
  }

  private mutating func close(at page: UInt64, _ body: (MemoryStretch) -> Void) {
    guard let (start, state) = open, start < page else { return }
    let pages = PageRange(start: GPN(rawValue: start), pageCount: page - start)
    body(MemoryStretch(pages: pages, state: state))
    open = nil
  }
}

/// A maximal run of pages in one state, within one region.
public struct MemoryStretch: Hashable, Sendable {
  /// The pages; never empty.
  public let pages: PageRange
  /// What they all are.
  public let state: PageState

  /// Pages and what they are.
  public init(pages: PageRange, state: PageState) {
    self.pages = pages
    self.state = state
  }
}

/// The largest stretches of a snapshot, and how much was left out.
public struct MemoryStretches: Equatable, Sendable {
  /// Ascending by address.
  public let stretches: [MemoryStretch]
  /// How many smaller ones there are besides.
  public let omittedCount: UInt64
  /// How many pages those have together, 4 KiB each.
  public let omittedPageCount: UInt64
}
