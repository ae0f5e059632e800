/// A rectangle's pixels, 0x00RRGGBB, line by line: what an encoder gets.
struct PixelBlock: Sendable {
  let width: Int
  let height: Int
  var pixels: [UInt32]

  init(width: Int, height: Int, pixels: [UInt32]) {
    precondition(pixels.count == width * height, "\(pixels.count) pixels, \(width)x\(height)")
    self.width = width
    self.height = height
    self.pixels = pixels
  }

  /// A part of it, which lies inside.
  func part(x: Int, y: Int, width: Int, height: Int) -> PixelBlock {
    var part: [UInt32] = []
    part.reserveCapacity(width * height)
    for line in y..<(y + height) {
      let start = line * self.width + x
      part.append(contentsOf: pixels[start..<(start + width)])
    }
    return PixelBlock(width: width, height: height, pixels: part)
  }

  /// Its parts of at most `side` by `side` pixels, from the left and then down.
  func forEachTile(_ side: Int, _ body: (PixelBlock) -> Void) {
    for y in stride(from: 0, to: height, by: side) {
      for x in stride(from: 0, to: width, by: side) {
        body(part(x: x, y: y, width: min(side, width - x), height: min(side, height - y)))
      }
    }
  }
}

/// The colours of a block, in the order in which they come, up to a limit.
struct Palette: Sendable {
  private(set) var colours: [UInt32] = []
  /// Whether these are all.
  private(set) var isComplete = true

  init(_ pixels: [UInt32], limit: Int) {
    guard var last = pixels.first else { return }
    colours.append(last)
    for pixel in pixels where pixel != last {
      last = pixel
      if colours.contains(pixel) { continue }
      guard colours.count < limit else {
        isComplete = false
        return
      }
      colours.append(pixel)
    }
  }

  /// A number for each pixel, which all are in it.
  func indices(of pixels: [UInt32]) -> [UInt8] {
    var last: UInt32?
    var index = 0
    return pixels.map { pixel in
      if pixel != last {
        last = pixel
        index = colours.firstIndex(of: pixel) ?? 0
      }
      return UInt8(truncatingIfNeeded: index)
    }
  }
}

/// Indices of a palette as bits: each line begins with a byte of its own, the high bits first.
///
/// - Parameter bitCount: 1, 2 or 4 bits each.
func packIndices(_ indices: [UInt8], width: Int, bitCount: Int, to output: inout [UInt8]) {
  for start in stride(from: 0, to: indices.count, by: width) {
    var byte: UInt8 = 0
    var used = 0
    for index in indices[start..<(start + width)] {
      byte = byte << UInt8(bitCount) | index
      used += bitCount
      if used == 8 {
        output.append(byte)
        (byte, used) = (0, 0)
      }
    }
    if used > 0 { output.append(byte << UInt8(8 - used)) }
  }
}
