extension RawSpan {
  /// A copy of the bytes.
  var byteArray: [UInt8] {
    byteOffsets.map { offset in
      // SAFETY: the offset comes from the span itself; every bit pattern is a UInt8.
      unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }
  }
}

extension [UInt8] {
  /// Lends the bytes as raw memory.
  func withRaw<Value, Failure: Error>(
    _ body: (RawSpan) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    let bytes = span
    // SAFETY: a view of elements as bytes may show padding; UInt8 has none.
    return try body(unsafe bytes.bytes)
  }

  /// The 64-bit little-endian number at an offset, put together independently of the module.
  func number(at offset: Int) -> UInt64 {
    self[offset..<offset + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
}
