internal import GuestMemory

/// The RAM below 4 GiB that nothing lies in yet, for placing what a kernel needs to start.
struct FreeMemory: Sendable {
  /// Ascending and disjoint, none empty.
  private(set) var ranges: [Range<UInt64>]

  /// All RAM that `map` names in the low region.
  init(_ map: E820Map) {
    ranges = map.entries.filter { $0.kind == .ram && $0.start < GuestMemoryLayout.lowEnd }
      .map(\.addresses)
  }

  /// Whether all of `range` is free. Nothing is free nowhere: an empty range is not.
  func isFree(_ range: Range<UInt64>) -> Bool {
    !range.isEmpty
      && ranges.contains {
        $0.lowerBound <= range.lowerBound && range.upperBound <= $0.upperBound
      }
  }

  /// Takes `range`, free or not, out of what is free.
  mutating func take(_ range: Range<UInt64>) {
    ranges = ranges.flatMap { $0.removing(range) }
  }

  /// The lowest free `byteCount` bytes from `start` on.
  ///
  /// - Parameter alignment: a power of two.
  func lowest(byteCount: UInt64, alignment: UInt64, from start: UInt64) -> Range<UInt64>? {
    for range in ranges {
      let (sum, overflow) = max(range.lowerBound, start).addingReportingOverflow(alignment - 1)
      let first = sum & ~(alignment - 1)
      if !overflow, first < range.upperBound, byteCount <= range.upperBound - first {
        return first..<(first + byteCount)
      }
    }
    return nil
  }

  /// The highest free `byteCount` bytes that end at `end` or below and do not begin below `start`.
  ///
  /// - Parameter alignment: of the first byte; a power of two.
  func highest(
    byteCount: UInt64, alignment: UInt64, from start: UInt64, below end: UInt64
  ) -> Range<UInt64>? {
    for range in ranges.reversed() {
      let limit = min(range.upperBound, end)
      guard byteCount <= limit else { continue }
      let first = (limit - byteCount) & ~(alignment - 1)
      if first >= max(range.lowerBound, start) { return first..<(first + byteCount) }
    }
    return nil
  }
}
