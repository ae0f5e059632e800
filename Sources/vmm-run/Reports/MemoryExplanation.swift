/// Why memory was not reported as zero.
struct MemoryExplanation: Equatable, Sendable {
  /// Enough for any demo; keeps the report of a scattered guest readable.
  static let maximumRangeCount = 4096

  var totals: MemoryTotals
  /// The largest ones, ascending by address.
  var unreported: [UnreportedRange]
  var omittedCount: UInt64
}
