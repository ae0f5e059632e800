/// *Tight* without a compressor: one colour, a palette, or pixels as they are. Source: the
/// community's *RFB Protocol*, Tight Encoding.
enum TightEncoder {
  private static let fill: UInt8 = 0x80
  /// Stream 0, and a filter is named.
  private static let filtered: UInt8 = 0x40
  private static let paletteFilter: UInt8 = 1
  /// Data of fewer bytes goes without a stream.
  private static let leastStreamed = 12

  static func encode(
    _ block: PixelBlock, _ writer: PixelWriter, _ stream: inout StoredStream,
    to output: inout [UInt8]
  ) {
    let palette = Palette(block.pixels, limit: 64)
    let count = palette.colours.count
    var data: [UInt8] = []
    if palette.isComplete, count == 1 {
      output.append(fill)
      writer.appendTight(palette.colours[0], to: &output)
      return
    }
    if palette.isComplete, count == 2 || isShorter(block, writer, count) {
      output += [filtered, paletteFilter, UInt8(count - 1)]
      for colour in palette.colours { writer.appendTight(colour, to: &output) }
      let indices = palette.indices(of: block.pixels)
      if count == 2 {
        packIndices(indices, width: block.width, bitCount: 1, to: &data)
      } else {
        data = indices
      }
    } else {
      output.append(0)
      data.reserveCapacity(block.pixels.count * writer.tightByteCount)
      for pixel in block.pixels { writer.appendTight(pixel, to: &data) }
    }
    guard data.count >= leastStreamed else {
      output += data
      return
    }
    let bytes = stream.bytes(data)
    appendLength(bytes.count, to: &output)
    output += bytes
  }

  private static func isShorter(_ block: PixelBlock, _ writer: PixelWriter, _ count: Int) -> Bool {
    block.pixels.count + count * writer.tightByteCount
      < block.pixels.count * writer.tightByteCount
  }

  /// Seven bits a byte, the low ones first; a third byte has eight.
  private static func appendLength(_ length: Int, to output: inout [UInt8]) {
    precondition(length < 1 << 22, "Tight data of \(length) bytes")
    output.append(UInt8(length & 0x7F) | (length > 0x7F ? 0x80 : 0))
    guard length > 0x7F else { return }
    output.append(UInt8(length >> 7 & 0x7F) | (length > 0x3FFF ? 0x80 : 0))
    if length > 0x3FFF { output.append(UInt8(length >> 14)) }
  }
}
