/// *Hextile*: tiles of 16 by 16 pixels, each raw or rectangles over a background. Source: RFC 6143,
/// section 7.7.4.
struct HextileEncoder {
  private enum Part {
    static let raw: UInt8 = 1
    static let background: UInt8 = 2
    static let foreground: UInt8 = 4
    static let rectangles: UInt8 = 8
    static let colours: UInt8 = 16
  }

  private let writer: PixelWriter
  /// What the tile before left, unless it was raw.
  private var background: UInt32?
  private var foreground: UInt32?

  private init(_ writer: PixelWriter) {
    self.writer = writer
  }

  static func encode(_ block: PixelBlock, _ writer: PixelWriter, to output: inout [UInt8]) {
    var encoder = HextileEncoder(writer)
    var bytes: [UInt8] = []
    block.forEachTile(16) { encoder.encode($0, to: &bytes) }
    output += bytes
  }

  private mutating func encode(_ tile: PixelBlock, to output: inout [UInt8]) {
    let palette = Palette(tile.pixels, limit: 2)
    let ground = Self.mostFrequent(tile.pixels, palette)
    var kind: UInt8 = 0
    var bytes: [UInt8] = []
    if ground != background {
      kind |= Part.background
      writer.append(ground, to: &bytes)
    }
    guard !palette.isComplete || palette.colours.count > 1 else {
      background = ground
      output.append(kind)
      output += bytes
      return
    }
    let rectangles = Self.rectangles(of: tile, over: ground)
    let rectangleByteCount: Int
    if palette.isComplete {
      kind |= Part.rectangles
      if rectangles[0].colour != foreground {
        kind |= Part.foreground
        writer.append(rectangles[0].colour, to: &bytes)
      }
      rectangleByteCount = 2
    } else {
      kind |= Part.rectangles | Part.colours
      rectangleByteCount = 2 + writer.byteCount
    }
    let isRaw =
      rectangles.count > 255
      || bytes.count + 1 + rectangles.count * rectangleByteCount
        >= tile.pixels.count * writer.byteCount
    guard !isRaw else {
      (background, foreground) = (nil, nil)
      output.append(Part.raw)
      writer.append(tile, to: &output)
      return
    }
    background = ground
    // Rectangles with colours of their own leave none behind.
    foreground = palette.isComplete ? rectangles[0].colour : nil
    output.append(kind)
    output += bytes
    output.append(UInt8(rectangles.count))
    for rectangle in rectangles {
      if !palette.isComplete { writer.append(rectangle.colour, to: &output) }
      output.append(UInt8(rectangle.x << 4 | rectangle.y))
      output.append(UInt8((rectangle.width - 1) << 4 | (rectangle.height - 1)))
    }
  }

  private struct Cover {
    let colour: UInt32
    let x: Int
    let y: Int
    let width: Int
    let height: Int
  }

  /// Of two colours the one with more pixels; of more the first, which is the left upper corner's.
  private static func mostFrequent(_ pixels: [UInt32], _ palette: Palette) -> UInt32 {
    let first = palette.colours[0]
    guard palette.isComplete, palette.colours.count == 2 else { return first }
    let count = pixels.reduce(0) { $0 + ($1 == first ? 1 : 0) }
    return 2 * count >= pixels.count ? first : palette.colours[1]
  }

  /// Rectangles of one colour each that cover all pixels that are not of the ground's: to the
  /// right as far as they go, then down.
  private static func rectangles(of tile: PixelBlock, over ground: UInt32) -> [Cover] {
    var pixels = tile.pixels
    let width = tile.width
    var covers: [Cover] = []
    for y in 0..<tile.height {
      for x in 0..<width where pixels[y * width + x] != ground {
        let colour = pixels[y * width + x]
        var right = x + 1
        while right < width, pixels[y * width + right] == colour { right += 1 }
        var bottom = y + 1
        while bottom < tile.height,
          (x..<right).allSatisfy({ pixels[bottom * width + $0] == colour })
        {
          bottom += 1
        }
        for line in y..<bottom {
          for column in x..<right { pixels[line * width + column] = ground }
        }
        covers.append(Cover(colour: colour, x: x, y: y, width: right - x, height: bottom - y))
      }
    }
    return covers
  }
}
