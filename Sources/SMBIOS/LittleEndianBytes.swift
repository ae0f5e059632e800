// SMBIOS is little-endian and unaligned throughout: structures are taken together byte by byte.

extension FixedWidthInteger where Self: UnsignedInteger {
  /// The value's bytes, the lowest first.
  var littleEndianBytes: [UInt8] {
    (0..<(Self.bitWidth / 8)).map { UInt8(truncatingIfNeeded: self >> (8 * $0)) }
  }
}
