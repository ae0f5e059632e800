internal import Bytes

/// A zlib stream that holds data as it is and never ends: a header, then *stored* blocks.
///
/// Viewers need neither a flush nor an end; some hang up at an end. Source: RFC 1950, RFC 1951,
/// section 3.2.4.
struct StoredStream: Sendable {
  private static let largestBlock = 65_535
  private var hasBegun = false

  /// What goes out for `data`.
  mutating func bytes(_ data: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(data.count + 5 * (data.count / Self.largestBlock + 1) + 2)
    if !hasBegun { bytes += [0x78, 0x01] }
    hasBegun = true
    for start in stride(from: 0, to: data.count, by: Self.largestBlock) {
      let end = min(start + Self.largestBlock, data.count)
      let length = UInt16(end - start)
      bytes.append(0)
      bytes += length.littleEndianBytes + (~length).littleEndianBytes
      bytes += data[start..<end]
    }
    return bytes
  }
}
