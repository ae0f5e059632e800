public import ZeroTracker

/// A guest physical address, in bytes.
///
/// Any 64-bit value is representable; the guest chooses many. Arithmetic that could leave 64 bits
/// returns nil instead.
public struct GPA: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The address in bytes.
  public let rawValue: UInt64

  /// Wraps an address; every value is accepted.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// Wraps an address; every value is accepted.
  public init(_ rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// The first byte of a page; nil if its address does not fit 64 bits.
  public init?(_ page: GPN) {
    let (address, overflow) = page.rawValue.multipliedReportingOverflow(by: UInt64(GPN.byteCount))
    if overflow { return nil }
    rawValue = address
  }

  /// The 4 KiB page that contains the byte.
  public var page: GPN {
    GPN(containing: rawValue)
  }

  /// The byte's place in its page, 0 to 4095.
  public var offsetInPage: Int {
    Int(rawValue % UInt64(GPN.byteCount))
  }

  /// The address `byteCount` bytes higher; nil if it does not fit 64 bits.
  public func advanced(by byteCount: UInt64) -> GPA? {
    let (sum, overflow) = rawValue.addingReportingOverflow(byteCount)
    return overflow ? nil : GPA(sum)
  }

  /// The bytes from `other` up to this address; nil if `other` is higher.
  public func offset(from other: GPA) -> UInt64? {
    rawValue >= other.rawValue ? rawValue - other.rawValue : nil
  }

  /// Orders by address.
  public static func < (left: GPA, right: GPA) -> Bool {
    left.rawValue < right.rawValue
  }

  /// The address in hexadecimal, `0x80000000`.
  public var description: String {
    "0x" + String(rawValue, radix: 16)
  }
}
