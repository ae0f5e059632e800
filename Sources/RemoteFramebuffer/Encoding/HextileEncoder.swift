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
    // More than a byte can count mean raw pixels.
    let rectangles = tile.covers(over: ground, limit: 255) ?? []
    let rectangleByteCount: Int
    if palette.isComplete {
      kind |= Part.rectangles
      if let colour = rectangles.first?.colour, colour != foreground {
        kind |= Part.foreground
        writer.append(colour, to: &bytes)
      }
      rectangleByteCount = 2
    } else {
      kind |= Part.rectangles | Part.colours
      rectangleByteCount = 2 + writer.byteCount
    }
    let isRaw =
      rectangles.isEmpty
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

  /// Of two colours the one with more pixels; of more the first, which is the left upper corner's.
  private static func mostFrequent(_ pixels: [UInt32], _ palette: Palette) -> UInt32 {
    let first = palette.colours[0]
    guard palette.isComplete, palette.colours.count == 2 else { return first }
    let count = pixels.reduce(0) { $0 + ($1 == first ? 1 : 0) }
    return 2 * count >= pixels.count ? first : palette.colours[1]
  }
}
