/// Reads little-endian numbers from untrusted bytes.
struct StateReader {
  private let bytes: [UInt8]
  /// The next byte to read.
  private(set) var offset: Int
  /// The end of the bytes.
  private let end: Int

  /// The range must lie within the bytes.
  init(_ bytes: [UInt8], _ range: Range<Int>) {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= bytes.count,
      "bytes \(range) of \(bytes.count)")
    self.bytes = bytes
    offset = range.lowerBound
    end = range.upperBound
  }

  var remainingByteCount: Int { end - offset }

  /// Refuses what stands `count` bytes before the next byte.
  func malformed(back count: Int = 0) -> TrackerStateError {
    .malformed(offset: offset - count)
  }

  mutating func byte() throws(TrackerStateError) -> UInt8 {
    guard offset < end else { throw malformed() }
    defer { offset += 1 }
    return bytes[offset]
  }

  mutating func uint32() throws(TrackerStateError) -> UInt32 {
    UInt32(try number(byteCount: 4))
  }

  mutating func uint64() throws(TrackerStateError) -> UInt64 {
    try number(byteCount: 8)
  }

  private mutating func number(byteCount: Int) throws(TrackerStateError) -> UInt64 {
    guard remainingByteCount >= byteCount else { throw malformed() }
    var value: UInt64 = 0
    for index in 0..<byteCount {
      value |= UInt64(bytes[offset + index]) << UInt64(index * 8)
    }
    offset += byteCount
    return value
  }

  /// Groups of seven bits, lowest first; every byte but the last has bit 7 set (LEB128).
  mutating func variable() throws(TrackerStateError) -> UInt64 {
    let start = offset
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), through: 63, by: 7) {
      let byte = try byte()
      // The tenth byte holds bit 63 alone.
      guard shift < 63 || byte <= 1 else { throw .malformed(offset: start) }
      value |= UInt64(byte & 0x7F) << shift
      if byte & 0x80 == 0 { return value }
    }
    throw .malformed(offset: start)
  }
}
