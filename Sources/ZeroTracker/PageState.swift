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
