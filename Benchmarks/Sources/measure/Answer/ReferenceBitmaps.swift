import Floors
import ZeroTracker

/// The same bitmaps for the plain C reference.
struct ReferenceBitmaps {
  private let given: [UInt64]
  private var written: [UInt64]
  private let touched: [UInt64]
  private let pageShift: Int
  private var runs = [reference_run](repeating: reference_run(), count: Self.limit)

  private static let limit = 255

  init(written: [UInt64], touched ranges: [PageRange], granularity: TrackingGranularity) {
    given = written
    // A copy of its own now, not in the first measurement.
    self.written = written.map { $0 }
    let pageShift = (granularity.byteCount / UInt64(GPN.byteCount)).trailingZeroBitCount
    var touched = [UInt64](repeating: 0, count: ((written.count - 1) >> pageShift) + 1)
    for range in ranges {
      let last = (range.end.rawValue - 1) >> UInt64(pageShift)
      for chunk in (range.start.rawValue >> UInt64(pageShift))...last {
        touched[Int(chunk / 64)] |= 1 << (chunk % 64)
      }
    }
    self.touched = touched
    self.pageShift = pageShift
  }

  /// The scan alone; how many runs it left in `runs`.
  mutating func scan() -> Int {
    // SAFETY: the bitmaps have the lengths computed from each other in init, `runs` has the limit.
    unsafe reference_largest_runs(
      written, touched, written.count, UInt32(pageShift), &runs, Self.limit)
  }

  /// ORs the given pages first.
  mutating func orAndScan() -> Int {
    // SAFETY: both have the same length.
    unsafe reference_or(&written, given, written.count)
    return scan()
  }

  func ranges(_ count: Int) -> [PageRange] {
    runs[..<count].map { PageRange(start: GPN(rawValue: $0.start), pageCount: $0.page_count) }
  }
}
