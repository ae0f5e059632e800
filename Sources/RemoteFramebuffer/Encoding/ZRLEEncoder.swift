internal import Bytes

/// *ZRLE* without a compressor: tiles of 64 by 64 pixels, each by whatever is shortest. Source: RFC
/// 6143, section 7.7.6.
enum ZRLEEncoder {
  static func encode(
    _ block: PixelBlock, _ writer: PixelWriter, _ stream: inout StoredStream,
    to output: inout [UInt8]
  ) {
    var data: [UInt8] = []
    block.forEachTile(64) { encode($0, writer, to: &data) }
    let bytes = stream.bytes(data)
    output += UInt32(bytes.count).bigEndianBytes
    output += bytes
  }

  private static func encode(
    _ tile: PixelBlock, _ writer: PixelWriter, to data: inout [UInt8]
  ) {
    let palette = Palette(tile.pixels, limit: 127)
    let colourCount = palette.colours.count
    if palette.isComplete, colourCount == 1 {
      data.append(1)
      writer.appendCompact(palette.colours[0], to: &data)
      return
    }
    let pixelByteCount = writer.compactBytes.count
    let runs = Runs(tile.pixels)
    let raw = tile.pixels.count * pixelByteCount
    let plainRuns = runs.count * pixelByteCount + runs.lengthByteCount
    let paletteByteCount = colourCount * pixelByteCount
    let bitCount = colourCount == 2 ? 1 : colourCount <= 4 ? 2 : 4
    let packed =
      palette.isComplete && colourCount <= 16
      ? paletteByteCount + tile.height * ((tile.width * bitCount + 7) / 8) : Int.max
    let paletteRuns =
      palette.isComplete
      ? paletteByteCount + runs.count + runs.longLengthByteCount : Int.max
    switch min(raw, plainRuns, packed, paletteRuns) {
    case packed:
      data.append(UInt8(colourCount))
      for colour in palette.colours { writer.appendCompact(colour, to: &data) }
      packIndices(
        palette.indices(of: tile.pixels), width: tile.width, bitCount: bitCount, to: &data)
    case paletteRuns:
      data.append(UInt8(128 + colourCount))
      for colour in palette.colours { writer.appendCompact(colour, to: &data) }
      let indices = palette.indices(of: tile.pixels)
      runs.visit { start, length in
        guard length > 1 else { return data.append(indices[start]) }
        data.append(indices[start] | 0x80)
        appendLength(length, to: &data)
      }
    case plainRuns:
      data.append(128)
      runs.visit { start, length in
        writer.appendCompact(tile.pixels[start], to: &data)
        appendLength(length, to: &data)
      }
    default:
      data.append(0)
      data.reserveCapacity(data.count + raw)
      for pixel in tile.pixels { writer.appendCompact(pixel, to: &data) }
    }
  }

  /// One less than the length, as bytes that are added up; the last is not 255.
  private static func appendLength(_ length: Int, to data: inout [UInt8]) {
    for _ in 0..<((length - 1) / 255) { data.append(255) }
    data.append(UInt8((length - 1) % 255))
  }

  /// Stretches of one colour.
  private struct Runs {
    /// Where each begins, and where the last ends.
    private var starts: [Int] = []

    init(_ pixels: [UInt32]) {
      for index in pixels.indices where index == 0 || pixels[index] != pixels[index - 1] {
        starts.append(index)
      }
      starts.append(pixels.count)
    }

    var count: Int { starts.count - 1 }

    /// Bytes of all lengths.
    var lengthByteCount: Int {
      var count = 0
      visit { count += ($1 - 1) / 255 + 1 }
      return count
    }

    /// Bytes of the lengths above 1.
    var longLengthByteCount: Int {
      var count = 0
      visit { count += $1 > 1 ? ($1 - 1) / 255 + 1 : 0 }
      return count
    }

    func visit(_ body: (_ start: Int, _ length: Int) -> Void) {
      for index in 0..<count { body(starts[index], starts[index + 1] - starts[index]) }
    }
  }
}
