// Registers and structures of the wire, little-endian at named byte offsets.
extension [UInt8] {
  /// The integer at a byte offset; all its bytes must be there.
  package func loadLE<T: FixedWidthInteger & UnsignedInteger>(
    at offset: Int, as type: T.Type = T.self
  ) -> T {
    var value: T = 0
    for index in 0..<(T.bitWidth / 8) { value |= T(self[offset + index]) << (8 * index) }
    return value
  }

  /// Sets the integer at a byte offset; there must be room for all its bytes.
  package mutating func storeLE<T: FixedWidthInteger & UnsignedInteger>(_ value: T, at offset: Int)
  {
    for index in 0..<(T.bitWidth / 8) {
      self[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index))
    }
  }

  /// Sets a field of text of fixed length, padded with spaces; what does not fit is cut.
  package mutating func storeText(_ text: String, at offset: Int, byteCount: Int) {
    let utf8 = Swift.Array(text.utf8.prefix(byteCount))
    for index in 0..<byteCount {
      self[offset + index] = index < utf8.count ? utf8[index] : 0x20
    }
  }
}
