internal import Bytes

/// A picture as a PNG file, without compression.
///
/// Source: PNG Specification (ISO/IEC 15948), RFC 1950 and RFC 1951.
struct PNGImage {
  private static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
  /// The most that a stored block holds.
  private static let blockByteCount = 65_535

  /// The file.
  let bytes: [UInt8]

  /// - Parameters:
  ///   - width: pixels of a line, at least 1.
  ///   - lines: at least one; red, green and blue for each pixel.
  init(width: Int, lines: [[UInt8]]) {
    let header =
      UInt32(width).bigEndianBytes + UInt32(lines.count).bigEndianBytes + [8, 2, 0, 0, 0]
    // Each line after a byte that says it is not filtered.
    let data = lines.reduce(into: [UInt8]()) { data, line in
      data.append(0)
      data += line
    }
    bytes =
      Self.signature + Self.chunk("IHDR", header) + Self.chunk("IDAT", Self.stored(data))
      + Self.chunk("IEND", [])
  }

  private static func chunk(_ type: String, _ data: [UInt8]) -> [UInt8] {
    let content = Array(type.utf8) + data
    return UInt32(data.count).bigEndianBytes + content
      + cyclicRedundancyCheck(content).bigEndianBytes
  }

  /// A zlib stream of stored blocks.
  private static func stored(_ data: [UInt8]) -> [UInt8] {
    var stream: [UInt8] = [0x78, 0x01]
    var start = 0
    repeat {
      let end = min(start + blockByteCount, data.count)
      let length = UInt16(end - start)
      stream.append(end == data.count ? 1 : 0)
      stream += [length, ~length].littleEndianBytes
      stream += data[start..<end]
      start = end
    } while start < data.count
    return stream + adler(data).bigEndianBytes
  }

  private static func adler(_ data: [UInt8]) -> UInt32 {
    var (low, high): (UInt32, UInt32) = (1, 0)
    for byte in data {
      low = (low + UInt32(byte)) % 65_521
      high = (high + low) % 65_521
    }
    return high << 16 | low
  }

  private static let checkTable: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { value, _ in
      value & 1 == 0 ? value >> 1 : value >> 1 ^ 0xEDB8_8320
    }
  }

  private static func cyclicRedundancyCheck(_ data: [UInt8]) -> UInt32 {
    let table = checkTable
    return ~data.reduce(~0) { $0 >> 8 ^ table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] }
  }
}
