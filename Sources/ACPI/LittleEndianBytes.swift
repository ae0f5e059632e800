// ACPI is little-endian and unaligned throughout: tables are taken together byte by byte at named
// offsets; no Swift type is laid over them.

extension FixedWidthInteger where Self: UnsignedInteger {
  /// The value's bytes, the lowest first.
  var littleEndianBytes: [UInt8] {
    (0..<(Self.bitWidth / 8)).map { UInt8(truncatingIfNeeded: self >> (8 * $0)) }
  }
}

extension [UInt8] {
  /// Stores a value little-endian at a byte offset where it lies wholly inside the array.
  mutating func storeLE<Value: FixedWidthInteger & UnsignedInteger>(
    _ value: Value, at byteOffset: Int
  ) {
    replaceSubrange(byteOffset..<(byteOffset + Value.bitWidth / 8), with: value.littleEndianBytes)
  }
}
