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
