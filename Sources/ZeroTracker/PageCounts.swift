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
