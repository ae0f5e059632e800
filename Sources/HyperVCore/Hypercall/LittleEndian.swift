// Guest data is little-endian and unaligned, so it is taken apart at named byte offsets; no Swift
// type is laid over it.

extension RawSpan {
  /// The little-endian integer at a byte offset, nil if it does not lie wholly inside the span.
  func loadLE<T: FixedWidthInteger & BitwiseCopyable>(at byteOffset: Int, as type: T.Type = T.self)
    -> T?
  {
    let count = MemoryLayout<T>.size
    guard byteOffset >= 0, byteCount >= count, byteOffset <= byteCount - count else { return nil }
    // SAFETY: the bytes were checked to lie in the span; every bit pattern is an integer.
    return T(littleEndian: unsafe unsafeLoadUnaligned(fromByteOffset: byteOffset, as: T.self))
  }
}

extension MutableRawSpan {
  /// Stores an integer little-endian at a byte offset; it must lie wholly inside the span.
  mutating func storeLE<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at byteOffset: Int) {
    storeBytes(of: value.littleEndian, toByteOffset: byteOffset, as: T.self)
  }
}

extension [UInt8] {
  /// A copy of bytes.
  init(_ bytes: RawSpan) {
    // SAFETY: every byte of a raw span is initialised.
    self = unsafe bytes.withUnsafeBytes { unsafe Array($0) }
  }

  /// Zeroes, then changed by a closure.
  init(zeroCount: Int, storing: (inout MutableRawSpan) -> Void) {
    self.init(repeating: 0, count: zeroCount)
    var elements = mutableSpan
    // SAFETY: every bit pattern is a UInt8.
    var bytes = unsafe elements.mutableBytes
    storing(&bytes)
  }
}
