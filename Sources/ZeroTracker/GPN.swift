/// A guest page number: a guest physical address divided by 4 KiB.
///
/// Any 64-bit value is representable, because the guest chooses many of them; arithmetic saturates
/// at `UInt64.max` and never traps. The unit is the Hyper-V page, `HV_PAGE_SIZE` (TLFS 6.0b §1.5).
public struct GPN: RawRepresentable, Hashable, Comparable, Sendable {
  /// Bytes in one page: 4 KiB, whatever page size the host maps with.
  public static let byteCount = 4096

  /// The page number, in units of 4 KiB.
  public let rawValue: UInt64

  /// Wraps a page number; every value is accepted.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// The lowest page.
  public static let zero = GPN(rawValue: 0)

  /// The page that contains the byte at a guest physical address (in bytes).
  public init(containing byteAddress: UInt64) {
    rawValue = byteAddress / UInt64(GPN.byteCount)
  }

  /// The page `pageCount` pages higher, at most `UInt64.max`.
  public func advanced(by pageCount: UInt64) -> GPN {
    let (sum, overflow) = rawValue.addingReportingOverflow(pageCount)
    return GPN(rawValue: overflow ? .max : sum)
  }

  /// Orders by address.
  public static func < (left: GPN, right: GPN) -> Bool {
    left.rawValue < right.rawValue
  }
}

extension GPN: CustomStringConvertible {
  /// The page number in hexadecimal, `0x1f`.
  public var description: String {
    "0x" + String(rawValue, radix: 16)
  }
}
