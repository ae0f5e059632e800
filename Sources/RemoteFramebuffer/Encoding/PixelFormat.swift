internal import Bytes

/// How pixels go to a viewer (*PIXEL_FORMAT*). Source: RFC 6143, section 7.4.
public struct PixelFormat: Hashable, Sendable {
  /// As sent.
  public static let byteCount = 16

  /// What the server offers: blue, green, red and an unused byte.
  public static let own = PixelFormat(
    bitsPerPixel: 32, depth: 24, isBigEndian: false, isTrueColour: true,
    red: Channel(max: 255, shift: 16), green: Channel(max: 255, shift: 8),
    blue: Channel(max: 255, shift: 0))

  /// What a viewer gets that asks for a colour map: 256 fixed colours, three bits of red and of
  /// green, two of blue.
  static let mapped = PixelFormat(
    bitsPerPixel: 8, depth: 8, isBigEndian: false, isTrueColour: true,
    red: Channel(max: 7, shift: 5), green: Channel(max: 7, shift: 2),
    blue: Channel(max: 3, shift: 0))

  /// A colour's place in a pixel.
  public struct Channel: Hashable, Sendable {
    /// The brightest value, 2^n - 1 for all viewers known; any value above 0 works.
    public let max: UInt16
    /// The place of bit 0.
    public let shift: UInt8

    var mask: UInt64 { UInt64(max) << UInt64(shift) }
  }

  public let bitsPerPixel: UInt8
  public let depth: UInt8
  public let isBigEndian: Bool
  public let isTrueColour: Bool
  public let red: Channel
  public let green: Channel
  public let blue: Channel

  init(
    bitsPerPixel: UInt8, depth: UInt8, isBigEndian: Bool, isTrueColour: Bool, red: Channel,
    green: Channel, blue: Channel
  ) {
    self.bitsPerPixel = bitsPerPixel
    self.depth = depth
    self.isBigEndian = isBigEndian
    self.isTrueColour = isTrueColour
    self.red = red
    self.green = green
    self.blue = blue
  }

  /// Reads 16 bytes; nil for a format that there cannot be.
  init?(_ bytes: ArraySlice<UInt8>) {
    let bytes = Array(bytes)
    guard bytes.count == Self.byteCount, [8, 16, 32].contains(bytes[0]) else { return nil }
    let channels = (0..<3).map {
      Channel(max: bytes.loadBE(at: 4 + 2 * $0), shift: bytes[10 + $0])
    }
    self.init(
      bitsPerPixel: bytes[0], depth: bytes[1], isBigEndian: bytes[2] != 0,
      isTrueColour: bytes[3] != 0, red: channels[0], green: channels[1], blue: channels[2])
    if isTrueColour {
      for channel in channels {
        guard channel.max > 0, channel.shift < bitsPerPixel,
          channel.mask >> UInt64(bitsPerPixel) == 0
        else { return nil }
      }
    } else {
      guard bitsPerPixel == 8 else { return nil }
    }
  }

  /// As sent.
  var bytes: [UInt8] {
    [bitsPerPixel, depth, isBigEndian ? 1 : 0, isTrueColour ? 1 : 0]
      + [red.max, green.max, blue.max].flatMap(\.bigEndianBytes)
      + [red.shift, green.shift, blue.shift, 0, 0, 0]
  }
}

/// Writes pixels in a viewer's format. Pixels here are 0x00RRGGBB.
struct PixelWriter: Sendable {
  /// Bytes of a pixel: 1, 2 or 4.
  let byteCount: Int
  /// *CPIXEL*: the bytes of a pixel that ZRLE sends.
  let compactBytes: Range<Int>
  /// *TPIXEL*: whether Tight sends red, green and blue, a byte each.
  private let isTightShort: Bool
  /// Whether a pixel's bytes are those of `PixelFormat.own`.
  private let isOwn: Bool
  /// What each value of a colour adds to a pixel, in the order of the bytes sent.
  private let red: [UInt32]
  private let green: [UInt32]
  private let blue: [UInt32]
  /// The bits that belong to no colour, all ones: noVNC 1.3 draws pixels with 0 there as
  /// transparent.
  private let rest: UInt32

  init(_ format: PixelFormat) {
    let format = format.isTrueColour ? format : .mapped
    byteCount = Int(format.bitsPerPixel) / 8
    let colours = UInt32(
      truncatingIfNeeded: format.red.mask | format.green.mask | format.blue.mask)
    let isBig = format.isBigEndian
    compactBytes =
      if format.bitsPerPixel != 32 || format.depth > 24 {
        0..<byteCount
      } else if colours >> 24 == 0 {
        isBig ? 1..<4 : 0..<3
      } else if colours & 0xFF == 0 {
        isBig ? 0..<3 : 1..<4
      } else {
        0..<4
      }
    isTightShort =
      format.bitsPerPixel == 32 && format.depth == 24
      && [format.red, format.green, format.blue].allSatisfy { $0.max == 255 }
    let bits = format.bitsPerPixel
    func ordered(_ value: UInt32) -> UInt32 {
      isBig ? value.byteSwapped >> UInt32(32 - bits) : value
    }
    func table(_ channel: PixelFormat.Channel) -> [UInt32] {
      (0...255).map { ordered((($0 * UInt32(channel.max) + 127) / 255) << UInt32(channel.shift)) }
    }
    red = table(format.red)
    green = table(format.green)
    blue = table(format.blue)
    rest = bits == 32 ? ordered(~colours) : 0
    isOwn =
      bits == 32 && !isBig && format.red == PixelFormat.own.red
      && format.green == PixelFormat.own.green && format.blue == PixelFormat.own.blue
  }

  /// The pixel's bytes as sent, the first in the low byte.
  @inline(__always)
  func value(_ pixel: UInt32) -> UInt32 {
    if isOwn { return pixel | 0xFF00_0000 }
    return red[Int(pixel >> 16 & 0xFF)] | green[Int(pixel >> 8 & 0xFF)] | blue[Int(pixel & 0xFF)]
      | rest
  }

  func append(_ pixel: UInt32, to output: inout [UInt8]) {
    append(value(pixel), 0..<byteCount, to: &output)
  }

  func appendCompact(_ pixel: UInt32, to output: inout [UInt8]) {
    append(value(pixel), compactBytes, to: &output)
  }

  func appendTight(_ pixel: UInt32, to output: inout [UInt8]) {
    if isTightShort {
      output.append(UInt8(truncatingIfNeeded: pixel >> 16))
      output.append(UInt8(truncatingIfNeeded: pixel >> 8))
      output.append(UInt8(truncatingIfNeeded: pixel))
    } else {
      append(pixel, to: &output)
    }
  }

  /// Bytes of a *TPIXEL*.
  var tightByteCount: Int { isTightShort ? 3 : byteCount }

  /// All of a block's pixels, as *Raw* has them.
  func append(_ block: PixelBlock, to output: inout [UInt8]) {
    guard byteCount == 4 else {
      for pixel in block.pixels { append(pixel, to: &output) }
      return
    }
    // Room first, then stores: an append for each byte costs several times more.
    let start = output.count
    output.append(contentsOf: repeatElement(0, count: 4 * block.pixels.count))
    var elements = output.mutableSpan
    // SAFETY: every bit pattern is a UInt8.
    var bytes = unsafe elements.mutableBytes
    for index in block.pixels.indices {
      bytes.storeBytes(
        of: value(block.pixels[index]).littleEndian, toByteOffset: start + 4 * index,
        as: UInt32.self)
    }
  }

  private func append(_ value: UInt32, _ range: Range<Int>, to output: inout [UInt8]) {
    for index in range { output.append(UInt8(truncatingIfNeeded: value >> UInt32(8 * index))) }
  }
}
