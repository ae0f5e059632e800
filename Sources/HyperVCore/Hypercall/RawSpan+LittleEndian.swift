extension RawSpan {
  /// The 64-bit little-endian value at a byte offset, nil if it does not lie wholly inside the span.
  func loadLE(at byteOffset: Int) -> UInt64? {
    guard byteOffset >= 0, byteCount >= 8, byteOffset <= byteCount - 8 else { return nil }
    // SAFETY: the eight bytes were checked to lie in the span; every bit pattern is a UInt64.
    let value = unsafe unsafeLoadUnaligned(fromByteOffset: byteOffset, as: UInt64.self)
    return UInt64(littleEndian: value)
  }
}

extension [UInt8] {
  /// Lends the bytes as raw memory.
  func withRawSpan<Value, Failure: Error>(
    _ body: (RawSpan) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    let bytes = span
    // SAFETY: a view of elements as bytes may show padding; UInt8 has none.
    return try body(unsafe bytes.bytes)
  }
}
