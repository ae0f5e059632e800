/// How much guest memory one bit of the touched map stands for.
///
/// It concerns the VMM's own writes only; what the guest wrote is known per 4 KiB page. A touched
/// chunk is withheld whole, so a smaller chunk reports more memory and a larger one costs less:
///
/// | chunk | bitmap per TiB |
/// |---|---|
/// | 4 KiB | 32 MiB |
/// | 64 KiB | 2 MiB |
/// | 2 MiB | 64 KiB |
/// | 32 MiB | 4 KiB |
public struct TrackingGranularity: Hashable, Sendable, CustomStringConvertible {
  /// The smallest and the largest chunk in bytes: one page, and 32 MiB.
  public static let byteCounts: ClosedRange<UInt64> = 4096...(32 << 20)

  /// 64 KiB: loaders, firmware and a device's rings are scattered in pieces of this order, so that
  /// little untouched memory is withheld with them, yet the map needs 2 MiB per TiB and stays in
  /// the second-level cache while it is scanned. 4 KiB would cost as much as the dirty log; with
  /// 2 MiB a single descriptor ring withholds 512 pages.
  public static let `default` = TrackingGranularity(pageShift: 4)

  /// Pages per chunk, as a power of two: 0 for 4 KiB up to 13 for 32 MiB.
  let pageShift: Int

  private init(pageShift: Int) {
    self.pageShift = pageShift
  }

  /// Accepts a power of two in `byteCounts`.
  ///
  /// - Throws: `ZeroTrackerError.granularity` for any other value.
  public init(byteCount: UInt64) throws(ZeroTrackerError) {
    guard byteCount.nonzeroBitCount == 1, Self.byteCounts.contains(byteCount) else {
      throw .granularity(byteCount: byteCount)
    }
    pageShift = byteCount.trailingZeroBitCount - GPN.byteCount.trailingZeroBitCount
  }

  /// Bytes per chunk.
  public var byteCount: UInt64 {
    UInt64(GPN.byteCount) << UInt64(pageShift)
  }

  /// The chunk in binary units: `64 KiB`, `2 MiB`.
  public var description: String {
    byteCount < 1 << 20 ? "\(byteCount >> 10) KiB" : "\(byteCount >> 20) MiB"
  }
}
