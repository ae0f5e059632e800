internal import Bytes

/// What the monitor says of itself: the base block of E-EDID 1.4, with one preferred size.
///
/// Firmware and operating systems choose that size. Source: VESA E-EDID Standard, Release A2.
enum EDID {
  static let byteCount = 128
  /// CVT 1.2 with reduced blanking: pixels between lines, and the least time between pictures.
  private static let horizontalBlank = 160
  private static let verticalBlankMicroseconds = 460.0
  private static let refreshHertz = 60

  /// A monitor whose preferred size is `width` by `height`, at most 4095 each.
  static func bytes(width: Int, height: Int) -> [UInt8] {
    var edid = [UInt8](repeating: 0, count: byteCount)
    edid.replaceSubrange(0..<8, with: [0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0])
    // *VMR*, five bits a letter, big-endian. The list of manufacturers has no such entry.
    edid.replaceSubrange(8..<10, with: [0x59, 0xB2])
    edid.storeLE(0x1111 as UInt16, at: 10)
    // Made in 2026; version 1.4; digital, 8 bits a colour.
    edid.replaceSubrange(16..<21, with: [0, 36, 1, 4, 0xA0])
    // Centimetres at 96 dots an inch; gamma 2.2; sRGB, and the first timing is the native one.
    edid[21] = UInt8(clamping: width * 254 / 9600)
    edid[22] = UInt8(clamping: height * 254 / 9600)
    edid[23] = 120
    edid[24] = 0x06
    // sRGB's primaries and white.
    edid.replaceSubrange(
      25..<35, with: [0xEE, 0x91, 0xA3, 0x54, 0x4C, 0x99, 0x26, 0x0F, 0x50, 0x54])
    // 640x480, 800x600 and 1024x768, 60 Hz each; no standard timings.
    edid.replaceSubrange(35..<38, with: [0x21, 0x08, 0])
    for index in 38..<54 { edid[index] = 1 }
    edid.replaceSubrange(54..<72, with: timing(width, height))
    edid.replaceSubrange(72..<90, with: text(0xFC, "vmm-run"))
    // Refresh rates and clocks: 50 to 75 Hz, 30 to 160 kHz, up to 600 MHz; no formula.
    edid.replaceSubrange(
      90..<108,
      with: [0, 0, 0, 0xFD, 0, 50, 75, 30, 160, 60, 1, 10] + repeatElement(0x20, count: 6))
    // A dummy.
    edid[111] = 0x10
    edid[127] = 0 &- edid.reduce(0, &+)
    return edid
  }

  /// A detailed timing descriptor.
  private static func timing(_ width: Int, _ height: Int) -> [UInt8] {
    let lineMicroseconds =
      (1_000_000 / Double(refreshHertz) - verticalBlankMicroseconds) / Double(height)
    let verticalBlank = Int(verticalBlankMicroseconds / lineMicroseconds) + 1
    let clock = (width + horizontalBlank) * (height + verticalBlank) * refreshHertz / 10_000
    // Front porches of 48 pixels and 3 lines; synchronisation of 32 pixels and 5 lines, positive.
    return UInt16(clamping: clock).littleEndianBytes + [
      low(width), low(horizontalBlank), high(width, horizontalBlank),
      low(height), low(verticalBlank), high(height, verticalBlank),
      48, 32, 3 << 4 | 5, 0,
      low(width * 254 / 960), low(height * 254 / 960), high(width * 254 / 960, height * 254 / 960),
      0, 0, 0x1E,
    ]
  }

  private static func low(_ value: Int) -> UInt8 { UInt8(value & 0xFF) }

  /// Bits 11:8 of two values.
  private static func high(_ first: Int, _ second: Int) -> UInt8 {
    UInt8(first >> 8 & 0xF) << 4 | UInt8(second >> 8 & 0xF)
  }

  /// A descriptor with a text of at most 13 characters.
  private static func text(_ tag: UInt8, _ text: String) -> [UInt8] {
    let characters = Array(text.utf8.prefix(12)) + [0x0A]
    return [0, 0, 0, tag, 0] + characters + repeatElement(0x20, count: 13 - characters.count)
  }
}
