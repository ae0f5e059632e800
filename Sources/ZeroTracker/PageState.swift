/// The state of a page: the first of these that holds.
public enum PageState: Int, CaseIterable, Sendable {
  /// In a range of the last answer.
  case reported
  /// In a claimed chunk.
  case claimed
  /// Written by the guest.
  case written
  /// In a chunk the VMM wrote; the guest did not write this page.
  case touched
  /// Zero, but not in the last answer: not among the largest ranges, or there was no answer.
  case zeroed
  /// Guest writes were not known: tracking was off or had ended, or the source failed.
  case unknown
}

/// How many pages are in each state; every page counts once.
public struct PageStateCounts: Hashable, Sendable {
  private var pageCounts = Array(repeating: UInt64(0), count: PageState.allCases.count)

  /// No pages.
  public init() {}

  /// The pages in one state, 4 KiB each.
  public subscript(state: PageState) -> UInt64 {
    get { pageCounts[state.rawValue] }
    set { pageCounts[state.rawValue] = newValue }
  }

  /// The pages in all states.
  public var total: UInt64 {
    pageCounts.reduce(0, +)
  }
}

/// How many pages of a range are what; 4 KiB each. A page may be touched and written.
public struct PageCounts: Hashable, Sendable {
  /// Pages that are RAM.
  public var memory: UInt64 = 0
  /// In a chunk the VMM wrote or claimed.
  public var touched: UInt64 = 0
  /// In a chunk claimed for good; these count as touched too.
  public var claimed: UInt64 = 0
  /// Written by the guest, according to the source.
  public var written: UInt64 = 0
  /// Neither touched nor written; 0 unless guest writes are known completely.
  public var zeroed: UInt64 = 0
  /// In a range of the last answer.
  public var reported: UInt64 = 0

  /// No pages.
  public init() {}

  /// Adds two counts; saturates nowhere because both count pages of one memory.
  public static func + (left: PageCounts, right: PageCounts) -> PageCounts {
    var sum = left
    sum.memory += right.memory
    sum.touched += right.touched
    sum.claimed += right.claimed
    sum.written += right.written
    sum.zeroed += right.zeroed
    sum.reported += right.reported
    return sum
  }
}
