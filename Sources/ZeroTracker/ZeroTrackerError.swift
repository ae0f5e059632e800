/// What a zero tracker refuses to be made from.
public enum ZeroTrackerError: Error, Equatable, Sendable {
  /// The chunk is not a power of two from 4 KiB to 32 MiB.
  case granularity(byteCount: UInt64)
  /// There is no RAM at all.
  case noRegions
  /// A region is empty, or its end passes the last page number.
  case region(PageRange)
  /// A region begins below the end of the one before it.
  case regionOrder(PageRange, after: PageRange)
  /// The regions have more pages than `ZeroTracker.maximumPageCount` together.
  case pageCount(UInt64)
}

extension ZeroTrackerError: CustomStringConvertible {
  /// What was asked, with which values, and what is accepted; one line.
  public var description: String {
    switch self {
    case .granularity(let byteCount):
      "tracking granularity \(byteCount) bytes: give a power of two from 4 KiB to 32 MiB"
    case .noRegions:
      "zero tracker without memory: give at least one region"
    case .region(let range):
      "zero tracker region \(range) (\(range.pageCount) pages): "
        + "give at least one page, and an end below the last page number"
    case .regionOrder(let range, let previous):
      "zero tracker region \(range) after \(previous): give ascending regions without overlap"
    case .pageCount(let count):
      "zero tracker for \(count) pages: at most \(ZeroTracker.maximumPageCount) can be tracked"
    }
  }
}
