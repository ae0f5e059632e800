internal import Bytes

/// *RRE*: rectangles of one colour over a background. Source: RFC 6143, section 7.7.3.
enum RREEncoder {
  /// What goes out for a block.
  ///
  /// - Parameter limit: bytes that are too many.
  /// - Returns: nil if it takes as many, or more.
  static func bytes(_ block: PixelBlock, _ writer: PixelWriter, limit: Int) -> [UInt8]? {
    let ground = block.pixels[0]
    let coverByteCount = writer.byteCount + 8
    let headByteCount = 4 + writer.byteCount
    guard headByteCount < limit else { return nil }
    let coverLimit = (limit - headByteCount - 1) / coverByteCount
    guard let covers = block.covers(over: ground, limit: coverLimit) else { return nil }
    var bytes = UInt32(covers.count).bigEndianBytes
    writer.append(ground, to: &bytes)
    for cover in covers {
      writer.append(cover.colour, to: &bytes)
      for value in [cover.x, cover.y, cover.width, cover.height] {
        bytes += UInt16(value).bigEndianBytes
      }
    }
    return bytes
  }
}

/// A rectangle of one colour within a block.
struct ColourCover: Hashable, Sendable {
  let colour: UInt32
  let x: Int
  let y: Int
  let width: Int
  let height: Int
}

extension PixelBlock {
  /// Rectangles of one colour each that cover all pixels that are not of the ground's: to the
  /// right as far as they go, then down.
  ///
  /// - Returns: nil if there are more than `limit`.
  func covers(over ground: UInt32, limit: Int) -> [ColourCover]? {
    var pixels = pixels
    var covers: [ColourCover] = []
    for y in 0..<height {
      for x in 0..<width where pixels[y * width + x] != ground {
        guard covers.count < limit else { return nil }
        let colour = pixels[y * width + x]
        var right = x + 1
        while right < width, pixels[y * width + right] == colour { right += 1 }
        var bottom = y + 1
        while bottom < height, (x..<right).allSatisfy({ pixels[bottom * width + $0] == colour }) {
          bottom += 1
        }
        for line in y..<bottom {
          for column in x..<right { pixels[line * width + column] = ground }
        }
        covers.append(
          ColourCover(colour: colour, x: x, y: y, width: right - x, height: bottom - y))
      }
    }
    return covers
  }

  /// Whether all of it is of one colour.
  var isPlain: Bool { pixels.allSatisfy { $0 == pixels[0] } }
}
