// Guest data is little-endian and unaligned, so it is taken apart byte by byte at named offsets; no
// Swift type is laid over it.

extension [UInt8] {
  /// Stores a 64-bit value little-endian at a byte offset that lies wholly inside the array.
  mutating func storeLE(_ value: UInt64, at byteOffset: Int) {
    for index in 0..<8 {
      self[byteOffset + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index)))
    }
  }

  /// Stores a 32-bit value little-endian at a byte offset that lies wholly inside the array.
  mutating func storeLE(_ value: UInt32, at byteOffset: Int) {
    for index in 0..<4 {
      self[byteOffset + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt32(index)))
    }
  }
}
