// What networks, firmware's configuration, TPMs, SCSI and viewers say is big-endian. It is read and
// written with the words of `LittleEndian.swift`: `loadBE(at:as:)`, `storeBE(_:at:)` and
// `bigEndianBytes`.

/// An integer that `loadBE` and `storeBE` take: what `loadLE` and `storeLE` take.
public typealias BigEndianInteger = LittleEndianInteger

extension FixedWidthInteger where Self: UnsignedInteger & BitwiseCopyable {
  /// The value's bytes, the highest first.
  @inlinable
  public var bigEndianBytes: [UInt8] { byteSwapped.littleEndianBytes }
}

extension RawSpan {
  /// The big-endian integer at a byte offset. Traps unless it lies wholly inside.
  @inlinable
  public func loadBE<T: BigEndianInteger>(at offset: Int, as type: T.Type = T.self) -> T {
    loadLE(at: offset, as: type).byteSwapped
  }
}

extension MutableRawSpan {
  /// Stores an integer big-endian at a byte offset. Traps unless it lies wholly inside.
  @inlinable
  public mutating func storeBE<T: BigEndianInteger>(_ value: T, at offset: Int) {
    storeLE(value.byteSwapped, at: offset)
  }
}

extension Array where Element == UInt8 {
  /// The big-endian integer at a byte offset. Traps unless it lies wholly inside.
  @inlinable
  public func loadBE<T: BigEndianInteger>(at offset: Int, as type: T.Type = T.self) -> T {
    loadLE(at: offset, as: type).byteSwapped
  }

  /// Stores an integer big-endian at a byte offset. Traps unless it lies wholly inside.
  @inlinable
  public mutating func storeBE<T: BigEndianInteger>(_ value: T, at offset: Int) {
    storeLE(value.byteSwapped, at: offset)
  }
}
