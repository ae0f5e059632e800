extension [UInt8] {
  /// The little-endian number of `byteCount` bytes at `byteOffset`.
  func number(at byteOffset: Int, byteCount: Int) -> UInt64 {
    self[byteOffset..<(byteOffset + byteCount)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// The characters of `byteCount` bytes at `byteOffset`.
  func text(at byteOffset: Int, byteCount: Int) -> String {
    String(decoding: self[byteOffset..<(byteOffset + byteCount)], as: UTF8.self)
  }

  /// The sum of all bytes, of which only the low eight bits count.
  var wrappingSum: UInt8 {
    reduce(0, &+)
  }
}
