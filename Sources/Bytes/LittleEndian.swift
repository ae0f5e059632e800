// What guests, firmware and files hold is little-endian and unaligned. It is read and written at
// named byte offsets; no Swift type is laid over it.
//
// One vocabulary, whatever holds the bytes:
//
// - `loadLE(at:as:)` and `storeLE(_:at:)`: an integer of a known type. They trap outside the bytes,
//   so the caller has checked the length.
// - `loadLE(at:byteCount:)`: a field of 0 to 8 bytes, nil outside the bytes: for a file that may be
//   cut.
// - `littleEndianBytes`: an integer as bytes, to append.
// - `loadLE(byteCount:)` and `storeLE(_:byteCount:)` of a raw buffer: unchecked, for the paths that
//   run once for each exit and have checked the range before.

/// An integer that `loadLE` and `storeLE` take. Unsigned, so that a bare literal, which would be an
/// `Int` of 8 bytes, is no value to store.
public typealias LittleEndianInteger = FixedWidthInteger & UnsignedInteger & BitwiseCopyable

extension FixedWidthInteger where Self: UnsignedInteger & BitwiseCopyable {
  /// The value's bytes, the lowest first.
  @inlinable
  public var littleEndianBytes: [UInt8] {
    // SAFETY: an integer has no padding, so every byte is initialised.
    unsafe Swift.withUnsafeBytes(of: littleEndian) { unsafe [UInt8]($0) }
  }
}

extension Array where Element: LittleEndianInteger {
  /// The elements' bytes, each element little-endian.
  @inlinable
  public var littleEndianBytes: [UInt8] {
    // One copy, not byte by byte: page tables come this way, thousands of words before each start.
    // SAFETY: an integer has no padding, so every byte is initialised.
    unsafe map(\.littleEndian).withUnsafeBytes { unsafe [UInt8]($0) }
  }
}

extension RawSpan {
  /// The little-endian integer at a byte offset. Traps unless it lies wholly inside.
  @inlinable
  public func loadLE<T: LittleEndianInteger>(at offset: Int, as type: T.Type = T.self) -> T {
    precondition(
      offset >= 0 && offset <= byteCount &- MemoryLayout<T>.size,
      "\(MemoryLayout<T>.size) bytes at \(offset) of \(byteCount)")
    // SAFETY: checked to lie inside; every bit pattern is an integer.
    return T(littleEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: T.self))
  }

  /// The little-endian value of a field of 0 to 8 bytes, nil unless it lies wholly inside. Any
  /// offset is accepted.
  @inlinable
  public func loadLE(at offset: Int, byteCount count: Int) -> UInt64? {
    precondition((0...8).contains(count), "an integer of \(count) bytes")
    guard offset >= 0, offset <= byteCount - count else { return nil }
    var value: UInt64 = 0
    for index in 0..<count {
      // SAFETY: checked to lie inside.
      let byte = unsafe unsafeLoad(fromByteOffset: offset + index, as: UInt8.self)
      value |= UInt64(byte) << UInt64(8 * index)
    }
    return value
  }
}

extension MutableRawSpan {
  /// Stores an integer little-endian at a byte offset. Traps unless it lies wholly inside.
  @inlinable
  public mutating func storeLE<T: LittleEndianInteger>(_ value: T, at offset: Int) {
    storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
  }
}

extension Array where Element == UInt8 {
  /// The little-endian integer at a byte offset. Traps unless it lies wholly inside.
  @inlinable
  public func loadLE<T: LittleEndianInteger>(at offset: Int, as type: T.Type = T.self) -> T {
    // SAFETY: an integer has no padding, so every byte is initialised.
    unsafe span.bytes.loadLE(at: offset)
  }

  /// The little-endian value of a field of 0 to 8 bytes, nil unless it lies wholly inside. Any
  /// offset is accepted.
  @inlinable
  public func loadLE(at offset: Int, byteCount: Int) -> UInt64? {
    // SAFETY: an integer has no padding, so every byte is initialised.
    unsafe span.bytes.loadLE(at: offset, byteCount: byteCount)
  }

  /// Stores an integer little-endian at a byte offset. Traps unless it lies wholly inside.
  @inlinable
  public mutating func storeLE<T: LittleEndianInteger>(_ value: T, at offset: Int) {
    var elements = mutableSpan
    // SAFETY: every bit pattern is a UInt8.
    var bytes = unsafe elements.mutableBytes
    bytes.storeLE(value, at: offset)
  }
}

extension UnsafeRawBufferPointer {
  /// The little-endian value of the first 1, 2, 4 or 8 bytes, which need not be aligned.
  ///
  /// Unchecked: the buffer has them.
  @inlinable @inline(__always)
  public func loadLE(byteCount: Int) -> UInt64 {
    switch byteCount {
    case 8: return unsafe UInt64(littleEndian: loadUnaligned(as: UInt64.self))
    case 4: return unsafe UInt64(UInt32(littleEndian: loadUnaligned(as: UInt32.self)))
    case 2: return unsafe UInt64(UInt16(littleEndian: loadUnaligned(as: UInt16.self)))
    case 1: return unsafe UInt64(self[0])
    default: preconditionFailure("an integer of \(byteCount) bytes")
    }
  }
}

extension UnsafeMutableRawBufferPointer {
  /// Stores the low 1, 2, 4 or 8 bytes of `value` little-endian at the buffer's start.
  ///
  /// Unchecked: the buffer has room for them.
  @inlinable @inline(__always)
  public func storeLE(_ value: UInt64, byteCount: Int) {
    switch byteCount {
    case 8: unsafe storeBytes(of: value.littleEndian, as: UInt64.self)
    case 4: unsafe storeBytes(of: UInt32(truncatingIfNeeded: value).littleEndian, as: UInt32.self)
    case 2: unsafe storeBytes(of: UInt16(truncatingIfNeeded: value).littleEndian, as: UInt16.self)
    case 1: unsafe self[0] = UInt8(truncatingIfNeeded: value)
    default: preconditionFailure("an integer of \(byteCount) bytes")
    }
  }
}
