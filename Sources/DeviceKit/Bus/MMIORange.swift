/// Consecutive guest physical addresses of memory-mapped registers, at least one byte.
public struct MMIORange: Hashable, Sendable, CustomStringConvertible {
  /// The first address.
  public let start: UInt64
  /// The length, at least 1.
  public let byteCount: UInt64

  /// The addresses `start` to `start + byteCount - 1`.
  ///
  /// Whoever places a range checks it: no bytes, or bytes past the last address, are a mistake of
  /// ours and trap.
  public init(start: UInt64, byteCount: UInt64) {
    precondition(byteCount > 0, "no bytes at 0x\(String(start, radix: 16))")
    precondition(
      !start.addingReportingOverflow(byteCount - 1).overflow,
      "\(byteCount) bytes at 0x\(String(start, radix: 16)) pass the last address")
    self.start = start
    self.byteCount = byteCount
  }

  /// The last address; unlike the one after it, it always fits 64 bits.
  public var last: UInt64 {
    start + (byteCount - 1)
  }

  /// Whether the address is one of these.
  public func contains(_ address: UInt64) -> Bool {
    start <= address && address <= last
  }

  /// Whether some address is in both.
  public func overlaps(_ other: MMIORange) -> Bool {
    start <= other.last && other.start <= last
  }

  /// The addresses in hexadecimal: `memory 0xfed1c000 to 0xfed1ffff`.
  public var description: String {
    "memory 0x\(String(start, radix: 16)) to 0x\(String(last, radix: 16))"
  }
}
