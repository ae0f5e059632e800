/// Consecutive guest pages: `start` and the `pageCount - 1` pages above it.
///
/// A range may be empty, and may claim more pages than 64 bits can number; `end` then saturates and
/// everything here uses `end`. No operation traps on any value.
public struct PageRange: Hashable, Sendable {
  /// The lowest page.
  public let start: GPN
  /// How many pages, 4 KiB each.
  public let pageCount: UInt64

  /// Makes a range; every pair of values is accepted.
  public init(start: GPN, pageCount: UInt64) {
    self.start = start
    self.pageCount = pageCount
  }

  /// The pages from `start` up to but not including `end`; empty when `end` is not above `start`.
  public init(start: GPN, end: GPN) {
    self.start = start
    pageCount = end > start ? end.rawValue - start.rawValue : 0
  }

  /// The first page above the range; saturates at page number `UInt64.max`.
  public var end: GPN {
    start.advanced(by: pageCount)
  }

  /// The page numbers, `start` up to but not including `end`.
  public var pageNumbers: Range<UInt64> {
    start.rawValue..<end.rawValue
  }

  /// Whether the range has no page.
  public var isEmpty: Bool {
    end == start
  }

  /// Whether a page is in the range.
  public func contains(_ page: GPN) -> Bool {
    start <= page && page < end
  }

  /// The pages both ranges have; empty (and of no particular start) when there are none.
  public func intersection(_ other: PageRange) -> PageRange {
    PageRange(start: max(start, other.start), end: min(end, other.end))
  }
}

extension PageRange: CustomStringConvertible {
  /// First page and first page above, `0x100..<0x180`.
  public var description: String {
    "\(start)..<\(end)"
  }
}

extension PageRange {
  /// The pages as bit numbers of a bitmap whose bit 0 is `region.start`; pages outside are left
  /// out.
  func bits(in region: PageRange) -> Range<Int> {
    let common = intersection(region)
    guard !common.isEmpty else { return 0..<0 }
    // Fits an Int: a region has at most `ZeroTracker.maximumPageCount` pages.
    let first = Int(common.start.rawValue - region.start.rawValue)
    return first..<(first + Int(common.pageCount))
  }
}
