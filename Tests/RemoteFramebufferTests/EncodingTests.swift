import DeviceKit
import TestSupport
import Testing

@testable import RemoteFramebuffer

@Suite("Encodings, against decoders written from the specifications")
struct EncodingTests {
  static let formats: [String: PixelFormat] = [
    "own": .own,
    "red first": format(32, 24, false, (255, 0), (255, 8), (255, 16)),
    "big-endian": format(32, 24, true, (255, 16), (255, 8), (255, 0)),
    "high bytes": format(32, 24, false, (255, 24), (255, 16), (255, 8)),
    "high bytes, big-endian": format(32, 24, true, (255, 24), (255, 16), (255, 8)),
    "30 bits": format(32, 30, false, (1023, 20), (1023, 10), (1023, 0)),
    "565": format(16, 16, false, (31, 11), (63, 5), (31, 0)),
    "565, big-endian": format(16, 16, true, (31, 11), (63, 5), (31, 0)),
    "332": format(8, 8, false, (7, 0), (7, 3), (3, 6)),
  ]

  static func format(
    _ bits: UInt8, _ depth: UInt8, _ isBig: Bool, _ red: (UInt16, UInt8), _ green: (UInt16, UInt8),
    _ blue: (UInt16, UInt8)
  ) -> PixelFormat {
    PixelFormat(
      bitsPerPixel: bits, depth: depth, isBigEndian: isBig, isTrueColour: true,
      red: PixelFormat.Channel(max: red.0, shift: red.1),
      green: PixelFormat.Channel(max: green.0, shift: green.1),
      blue: PixelFormat.Channel(max: blue.0, shift: blue.1))
  }

  /// What a viewer with a format sees of a pixel.
  static func seen(_ pixel: UInt32, _ format: PixelFormat) -> UInt32 {
    let channels: [(PixelFormat.Channel, UInt32)] = [
      (format.red, 16), (format.green, 8), (format.blue, 0),
    ]
    return channels.reduce(0) { result, entry in
      let max = UInt32(entry.0.max)
      let sent = ((pixel >> entry.1 & 0xFF) * max + 127) / 255
      return result | ((sent * 255 + max / 2) / max) << entry.1
    }
  }

  static let kinds = ["one colour", "two", "text", "few", "runs", "noise"]

  /// Draws all over a display.
  static func fill(_ display: TestDisplay, _ kind: String, _ random: inout SeededGenerator) {
    guard let mode = display.mode else { return }
    let colours = (0..<12).map { _ in UInt32.random(in: 0...0xFF_FFFF, using: &random) }
    for y in 0..<mode.height {
      for x in 0..<mode.width {
        let pixel =
          switch kind {
          case "one colour": colours[0]
          case "two": colours[(x / 7 + y / 5) % 2]
          case "text": Int.random(in: 0..<6, using: &random) == 0 ? colours[1] : colours[0]
          case "few": colours[Int.random(in: 0..<12, using: &random)]
          case "runs": colours[(x / 90 + y / 3) % 12] ^ UInt32(y / 40)
          default: UInt32.random(in: 0...0xFF_FFFF, using: &random)
          }
        // The unused byte may be anything.
        display.draw(x, y, pixel | UInt32(x % 256) << 24)
      }
    }
  }

  @Test(
    "What a viewer draws is what the display shows",
    arguments: ([[0], [2], [5], [6], [7], [16]] as [[Int32]]).flatMap { encodings in
      formats.keys.map { (encodings, $0) }
    } + ([[5, 2], [6, 2], [7, -224]] as [[Int32]]).map { ($0, "565, big-endian") })
  func roundTrip(encodings: [Int32], name: String) throws {
    let format = try #require(Self.formats[name])
    var random = SeededGenerator(seed: UInt64(encodings[0]) + 1)
    // Sizes that no tile divides.
    let display = TestDisplay(width: 131, height: 67, lineByteCount: 544, offset: 64)
    var bench = SessionBench(display)
    bench.begin()
    _ = bench.exchange([0, 0, 0, 0] + format.bytes)
    _ = bench.exchange(SessionBench.setEncodings(encodings + [1234]))
    // RRE where it is shorter, and where there is no other raw pixels.
    let allowed = encodings.contains(2) ? encodings + [0] : encodings
    let queue = ByteQueue()
    var viewer = ViewerDecoder(format, width: 131, height: 67, read: queue.read)
    for kind in Self.kinds {
      Self.fill(display, kind, &random)
      let isIncremental = kind != Self.kinds[0]
      _ = bench.exchange(
        SessionBench.request(isIncremental: isIncremental, width: 131, height: 67))
      queue.add(bench.look())
      #expect(try queue.read(1) == [0])
      let update = try viewer.readUpdate()
      #expect(update.rectangles.allSatisfy { allowed.contains($0.encoding) } && update.news.isEmpty)
      if kind == "one colour" {
        let plain = encodings.contains(2) ? 2 : encodings[0]
        #expect(update.rectangles.allSatisfy { $0.encoding == plain })
      }
      // Not the arrays themselves, which a failure would print.
      let isSame = viewer.pixels == display.picture.map { Self.seen($0, format) }
      #expect(isSame, "\(kind)")
      #expect(queue.left == 0, "\(kind)")
    }
  }

  @Test("Without a compressor text takes an eighth of its raw bytes, and one colour nearly none")
  func byteCounts() throws {
    var counts: [String: Int] = [:]
    for (encoding, name) in [(0, "raw"), (5, "hextile"), (7, "tight"), (16, "zrle")] as [(Int32, _)]
    {
      for kind in ["one colour", "text", "noise"] {
        var random = SeededGenerator(seed: 7)
        let display = TestDisplay(width: 640, height: 320)
        Self.fill(display, kind, &random)
        var bench = SessionBench(display)
        bench.begin([encoding])
        _ = bench.exchange(SessionBench.request(isIncremental: false, width: 640, height: 320))
        counts["\(name) \(kind)"] = bench.look().count
      }
    }
    let raw = 4 * 640 * 320
    #expect(try #require(counts["raw text"]) == raw + 4 + 4 * 12)
    #expect(try #require(counts["zrle text"]) < raw / 30)
    #expect(try #require(counts["tight text"]) < raw / 20)
    for name in ["hextile", "tight", "zrle"] {
      #expect(try #require(counts["\(name) one colour"]) < 1000)
      #expect(try #require(counts["\(name) noise"]) < raw + raw / 200)
    }
  }

  @Test("RRE: a colour, and rectangles over it; nil when that is as long as the limit")
  func rre() {
    // Two colours over the corner's: a block of 2 by 2 and a pixel.
    let block = PixelBlock(width: 4, height: 3, pixels: [1, 1, 1, 3, 1, 2, 2, 1, 1, 2, 2, 1])
    let writer = PixelWriter(.own)
    let expected: [UInt8] =
      [0, 0, 0, 2, 1, 0, 0, 0xFF] + [3, 0, 0, 0xFF, 0, 3, 0, 0, 0, 1, 0, 1]
      + [2, 0, 0, 0xFF, 0, 1, 0, 1, 0, 2, 0, 2]
    #expect(RREEncoder.bytes(block, writer, limit: 33) == expected)
    #expect(RREEncoder.bytes(block, writer, limit: 32) == nil)
    for limit in 0..<33 { #expect(RREEncoder.bytes(block, writer, limit: limit) == nil) }
    let plain = PixelBlock(width: 2, height: 1, pixels: [5, 5])
    #expect(RREEncoder.bytes(plain, writer, limit: 9) == [0, 0, 0, 0, 5, 0, 0, 0xFF])
    #expect(RREEncoder.bytes(plain, writer, limit: 8) == nil)
  }

  /// What goes out for a screen of one colour, then for one of text.
  private static func counts(_ encodings: [Int32]) -> [Int] {
    var random = SeededGenerator(seed: 7)
    let display = TestDisplay(width: 640, height: 400)
    var bench = SessionBench(display)
    bench.begin(encodings)
    _ = bench.session.takeOutput()
    return ["one colour", "text"].map { kind in
      fill(display, kind, &random)
      _ = bench.exchange(SessionBench.request(isIncremental: false, width: 640, height: 400))
      return bench.look().count
    }
  }

  @Test("A screen of one colour is a few rectangles by RRE, and by Tight that needs no count")
  func plainScreens() {
    for (without, with) in [([5], [5, 2]), ([7], [7, -224])] as [([Int32], [Int32])] {
      let (before, after) = (Self.counts(without), Self.counts(with))
      // Parts of 64 Ki pixels at most: a header of 12 bytes and one colour each; LastRect.
      #expect(after[0] <= 4 + 7 * (12 + 8) + 12 && before[0] > 1000, "\(before) \(after)")
      #expect(after[1] <= before[1] + 12)
    }
  }

  @Test("ZRLE and Zlib are never both used: some viewers have one inflater for both")
  func oneStream() throws {
    for first in [16, 6] as [Int32] {
      let display = TestDisplay(width: 100, height: 50)
      var bench = SessionBench(display)
      bench.begin([first])
      _ = bench.session.takeOutput()
      let queue = ByteQueue()
      var viewer = ViewerDecoder(width: 100, height: 50, read: queue.read)
      func draw(_ encodings: [Int32]) throws -> Set<Int32> {
        _ = bench.exchange(
          SessionBench.setEncodings(encodings)
            + SessionBench.request(isIncremental: false, width: 100, height: 50))
        queue.add(bench.look())
        _ = try queue.read(1)
        return Set(try viewer.readUpdate().rectangles.map(\.encoding))
      }
      let other: Int32 = 22 - first
      #expect(try draw([first]) == [first])
      #expect(try draw([other]) == [0])
      #expect(try draw([other, 5]) == [5])
      #expect(try draw([6, 16]) == [first])
      #expect(queue.left == 0)
    }
  }

  @Test("Stored blocks: a header once, no end, and no block past 65,535 bytes")
  func storedStream() {
    var stream = StoredStream()
    #expect(stream.bytes([1, 2, 3]) == [0x78, 0x01, 0, 3, 0, 0xFC, 0xFF, 1, 2, 3])
    #expect(stream.bytes([4]) == [0, 1, 0, 0xFE, 0xFF, 4])
    let long = stream.bytes([UInt8](repeating: 9, count: 65_537))
    #expect(long.count == 65_537 + 10)
    #expect(Array(long[..<5]) == [0, 0xFF, 0xFF, 0, 0])
    #expect(Array(long[(5 + 65_535)...]) == [0, 2, 0, 0xFD, 0xFF, 9, 9])
  }

  @Test("The unused byte of a pixel is 0xFF: noVNC 1.3 draws zeroes as transparent")
  func unusedByte() {
    for (format, bytes) in [
      (PixelFormat.own, [0x33, 0x22, 0x11, 0xFF]),
      (Self.format(32, 24, false, (255, 0), (255, 8), (255, 16)), [0x11, 0x22, 0x33, 0xFF]),
      (Self.format(32, 24, true, (255, 16), (255, 8), (255, 0)), [0xFF, 0x11, 0x22, 0x33]),
      (Self.format(16, 16, true, (31, 11), (63, 5), (31, 0)), [0x11, 0x06]),
    ] as [(_, [UInt8])] {
      var output: [UInt8] = []
      PixelWriter(format).append(0x11_2233, to: &output)
      #expect(output == bytes)
    }
  }
}
