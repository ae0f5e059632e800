/// What a zero tracker knew of every page at one instant. A value; it never changes.
public struct ZeroTrackerSnapshot: Sendable {
  /// Whether guest writes were known: tracking was on and the source answered. If not, `written`
  /// counts only what was known before, and no page counts as zeroed.
  public let isComplete: Bool
  /// The ranges of the last answer, as reported; empty if there was none.
  public let lastReported: [PageRange]
  /// The last claims, oldest first: at most 64, and none that came with a restored state.
  public let claims: [Claim]
  /// How many claims came before those.
  public let omittedClaimCount: UInt64
  let parts: [RegionSnapshot]
  /// `lastReported` by address.
  let reportedByAddress: [PageRange]

  init(
    isComplete: Bool, lastReported: [PageRange], claims: ClaimLog, regions: [RegionSnapshot]
  ) {
    self.isComplete = isComplete
    self.lastReported = lastReported
    self.claims = claims.claims
    omittedClaimCount = claims.omittedCount
    reportedByAddress = lastReported.sorted { $0.start < $1.start }
    parts = regions
  }

  /// RAM, ascending and disjoint.
  public var regions: [PageRange] {
    parts.map(\.range)
  }

  /// Counts over all RAM.
  public var total: PageCounts {
    parts.reduce(PageCounts()) { $0 + counts(in: $1.range) }
  }

  /// Whether a page is RAM, neither written nor claimed, as far as known: see `isComplete`.
  public func isUnwritten(_ page: GPN) -> Bool {
    guard let part = parts.first(where: { $0.range.contains(page) }) else { return false }
    return part.isUnwritten(page)
  }

  /// Counts over the pages of `range` that are RAM. Any range is accepted.
  public func counts(in range: PageRange) -> PageCounts {
    var sum = PageCounts()
    for part in parts { sum = sum + part.counts(in: range, isComplete: isComplete) }
    sum.reported = lastReported.reduce(0) { $0 + $1.intersection(range).pageCount }
    return sum
  }
}
