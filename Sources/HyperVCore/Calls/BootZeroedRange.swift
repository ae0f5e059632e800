/// A run of guest pages that read as zero: one element of the 0x8002 reply.
///
/// Units are 4 KiB pages: a start GPN, not a byte address. Any two numbers are representable, since
/// a decoded reply may hold anything. A thread-safe value.
///
/// Source: TLFS, *HvExtCallGetBootZeroedMemory* (web edition). The PDF 6.0b §9.4.7 has a single
/// range that starts at a byte address; guests expect the newer form.
public struct BootZeroedRange: Hashable, Sendable {
  /// Pages in the 64-bit GPA space, 2^52: the first GPN that is not a page.
  public static let addressSpacePageCount: UInt64 = 1 << 52

  /// The GPN of the first page.
  public var startPage: UInt64

  /// The number of 4 KiB pages.
  public var pageCount: UInt64

  /// Composes a range without checking it.
  public init(startPage: UInt64, pageCount: UInt64) {
    self.startPage = startPage
    self.pageCount = pageCount
  }

  /// The pages with the numbers (GPNs) of a range.
  public init(_ pages: Range<UInt64>) {
    // The difference of two ordered numbers fits.
    self.init(startPage: pages.lowerBound, pageCount: pages.upperBound - pages.lowerBound)
  }

  /// The GPN after the last page; nil if the range is empty or leaves the 64-bit GPA space.
  public var endPage: UInt64? {
    let (end, overflows) = startPage.addingReportingOverflow(pageCount)
    guard pageCount > 0, !overflows, end <= Self.addressSpacePageCount else { return nil }
    return end
  }

  /// The parts of the range below and above one page, of which either may be missing.
  ///
  /// A range that is empty or leaves the GPA space has no parts.
  public func excluding(page: UInt64) -> [BootZeroedRange] {
    guard let endPage else { return [] }
    guard page >= startPage, page < endPage else { return [self] }
    // startPage <= page < endPage <= 2^52, so nothing below wraps.
    let below = BootZeroedRange(startPage: startPage, pageCount: page - startPage)
    let above = BootZeroedRange(startPage: page + 1, pageCount: endPage - page - 1)
    return [below, above].filter { $0.pageCount > 0 }
  }
}
