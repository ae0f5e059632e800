/// Pages of guest memory as one element of a hypercall's list names them: *HV_GPA_PAGE_RANGE*.
///
/// Every 64-bit value is representable, since a guest chooses it. A thread-safe value.
///
/// | bits  | pages of 4 KiB          | large pages              |
/// |-------|-------------------------|--------------------------|
/// | 10:0  | pages after the first   | pages after the first    |
/// | 11    | 0                       | 1                        |
/// | 12    | page number, with 63:13 | 0 for 2 MiB, 1 for 1 GiB |
/// | 20:13 |                         | reserved, zero           |
/// | 63:21 |                         | number of the large page |
///
/// Source: Linux, include/hyperv/hvgdk_mini.h, `union hv_gpa_page_range`.
public struct GPAPageRange: RawRepresentable, Hashable, Sendable {
  /// Bytes of one encoded range.
  public static let byteCount = 8
  /// The most pages, small or large, that one range names.
  public static let maximumPageCount = 2048

  /// The size of the pages that a range counts in.
  public enum PageSize: Hashable, Sendable {
    case size4KiB
    case size2MiB
    case size1GiB
  }

  /// The range as the guest gave it.
  public let rawValue: UInt64

  /// Wraps a range.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// Composes a range of `pageCount` pages of that size, the first of number `firstPage`.
  ///
  /// Nil if there is no such range: not 1 to 2048 pages, or a number that does not fit.
  public init?(firstPage: UInt64, pageCount: Int, of size: PageSize = .size4KiB) {
    let numberShift: UInt64 = size == .size4KiB ? 12 : 21
    guard (1...Self.maximumPageCount).contains(pageCount), firstPage <= .max >> numberShift else {
      return nil
    }
    let flags: UInt64 =
      switch size {
      case .size4KiB: 0
      case .size2MiB: Self.largeBit
      case .size1GiB: Self.largeBit | Self.gibibyteBit
      }
    rawValue = firstPage << numberShift | flags | UInt64(pageCount - 1)
  }

  /// The size of its pages.
  public var pageSize: PageSize {
    guard rawValue & Self.largeBit != 0 else { return .size4KiB }
    return rawValue & Self.gibibyteBit == 0 ? .size2MiB : .size1GiB
  }

  /// Whether reserved bits are set.
  public var hasReservedBits: Bool {
    rawValue & Self.largeBit != 0 && rawValue & Self.reservedMask != 0
  }

  /// The number of the first page, in pages of ``pageSize``.
  public var firstPage: UInt64 {
    rawValue >> (rawValue & Self.largeBit == 0 ? 12 : 21)
  }

  /// How many pages of ``pageSize`` it names, 1...2048.
  public var pageCount: Int { Int(rawValue & 0x7FF) + 1 }

  /// The pages in 4 KiB (GPNs).
  ///
  /// Nil if that cannot be said: with reserved bits set, past the address space, or of 1 GiB, as no
  /// guest is known that counts in those, and no source says what a number counts then.
  public var pageNumbers: Range<UInt64>? {
    guard !hasReservedBits else { return nil }
    let shift: UInt64
    switch pageSize {
    case .size4KiB: shift = 0
    case .size2MiB: shift = 9
    case .size1GiB: return nil
    }
    // Fits: at most 2^52, and 2^20 more.
    let start = firstPage << shift
    let end = start + UInt64(pageCount) << shift
    guard end <= BootZeroedRange.addressSpacePageCount else { return nil }
    return start..<end
  }

  private static let largeBit: UInt64 = 1 << 11
  private static let gibibyteBit: UInt64 = 1 << 12
  private static let reservedMask: UInt64 = 0xFF << 13
}
