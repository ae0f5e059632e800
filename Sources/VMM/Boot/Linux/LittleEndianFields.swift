// Fields of headers at named byte offsets: of files that may be damaged, and of what kernels are
// given.
extension [UInt8] {
  /// The little-endian integer of `byteCount` bytes, 8 at most, at `offset`; nil if it is not all
  /// there.
  func loadLE(at offset: Int, byteCount: Int) -> UInt64? {
    guard offset >= 0, offset <= count, byteCount <= count - offset else { return nil }
    return self[offset..<(offset + byteCount)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// Stores an integer at `offset`, which must have room for it.
  mutating func storeLE(_ value: some FixedWidthInteger, at offset: Int) {
    let byteCount = value.bitWidth / 8
    precondition(offset >= 0 && byteCount <= count - offset, "field at \(offset) of \(count) bytes")
    for index in 0..<byteCount {
      self[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index))
    }
  }
}
