internal import Bytes

// RFB is big-endian.

extension FixedWidthInteger where Self: UnsignedInteger & BitwiseCopyable {
  /// The value's bytes, the highest first.
  var bigEndianBytes: [UInt8] { byteSwapped.littleEndianBytes }
}

extension Array where Element == UInt8 {
  /// The big-endian integer at a byte offset. Traps unless it lies wholly inside.
  func loadBE<T: LittleEndianInteger>(at offset: Int, as type: T.Type = T.self) -> T {
    (loadLE(at: offset) as T).byteSwapped
  }
}
