import DeviceKit
import Testing

@testable import RemoteFramebuffer

@Suite("A session, byte by byte")
struct SessionTests {
  static let serverInit: [UInt8] =
    [0, 100, 0, 50, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, 0, 0, 0, 4]
    + Array("test".utf8)

  private func bench(password: String? = nil) -> SessionBench {
    SessionBench(TestDisplay(width: 100, height: 50), password: password)
  }

  @Test("The beginning of versions 3.3, 3.5, 3.7, 3.8 and a newer one, without a password")
  func versions() {
    for (version, offer, result) in [
      ("003.003", [0, 0, 0, 1], []), ("003.005", [0, 0, 0, 1], []),
      ("003.007", [1, 1], []), ("003.008", [1, 1], [0, 0, 0, 0]),
      ("003.889", [1, 1], [0, 0, 0, 0]),
    ] as [(String, [UInt8], [UInt8])] {
      var bench = bench()
      #expect(bench.session.takeOutput() == Array("RFB 003.008\n".utf8))
      #expect(bench.exchange(Array("RFB \(version)\n".utf8)) == offer)
      if offer.count == 2 { #expect(bench.exchange([1]) == result) }
      // Not shared: it is all the same.
      #expect(bench.exchange([0]) == Self.serverInit)
      #expect(bench.session.isRunning)
    }
  }

  @Test("In pieces of one byte it is the same")
  func pieces() {
    var bench = bench()
    var output: [UInt8] = []
    for byte in Array("RFB 003.008\n".utf8) + [1, 1] + [4, 1, 0, 0, 0, 0, 0xFF, 0x0D] {
      output += bench.exchange([byte])
    }
    #expect(output == Array("RFB 003.008\n".utf8) + [1, 1, 0, 0, 0, 0] + Self.serverInit)
    #expect(
      bench.session.takeEvents() == [.key(keysym: 0xFF0D, scanCode: nil, isDown: true)])
  }

  @Test("A password: the right one, a wrong one, and none asked for")
  func passwords() {
    let answer = VNCAuthentication(password: Array("password".utf8))
      .response(to: SessionBench.challenge)
    for (version, type) in [("003.003", []), ("003.007", [2]), ("003.008", [2])] as [(_, [UInt8])] {
      for isRight in [true, false] {
        var bench = bench(password: "password")
        _ = bench.session.takeOutput()
        let offer = bench.exchange(Array("RFB \(version)\n".utf8))
        let asked = offer + (type.isEmpty ? [] : bench.exchange(type))
        #expect(
          asked == (type.isEmpty ? [0, 0, 0, 2] : [1, 2]) + SessionBench.challenge)
        let result = bench.exchange(isRight ? answer : [UInt8](repeating: 0, count: 16))
        let reason: [UInt8] = [0, 0, 0, 14] + Array("wrong password".utf8)
        #expect(
          result == (isRight ? [0, 0, 0, 0] : [0, 0, 0, 1] + (version == "003.008" ? reason : [])))
        #expect((bench.session.end == nil) == isRight)
        #expect(bench.exchange([1]).isEmpty != isRight)
      }
    }
    var bench = bench(password: "password")
    _ = bench.exchange(Array("RFB 003.008\n".utf8))
    #expect(bench.exchange([1]).isEmpty)
    #expect(bench.session.end == "security type 1")
  }

  @Test(
    "What there cannot be ends the session",
    arguments: [
      ("message 77", [77]), ("message 7", [7]), ("QEMU message 1", [255, 1]),
      ("1025 encodings", [2, 0, 4, 1]),
      ("clipboard of 16777217 bytes", [6, 0, 0, 0, 1, 0, 0, 1]),
      ("clipboard of 2147483648 bytes", [6, 0, 0, 0, 0x80, 0, 0, 0]),
      ("fence of 65 bytes", [248, 0, 0, 0, 0x80, 0, 0, 0, 65]),
      ("pixel format", [0, 0, 0, 0, 24, 24, 0, 1] + [UInt8](repeating: 1, count: 12)),
      // No red at all, and red past the last bit.
      ("pixel format", [0, 0, 0, 0, 32, 24, 0, 1, 0, 0, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]),
      ("pixel format", [0, 0, 0, 0, 16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 12, 5, 0, 0, 0, 0]),
      ("pixel format", [0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 200, 8, 0, 0, 0, 0]),
    ] as [(String, [UInt8])])
  func ends(end: String, message: [UInt8]) {
    var bench = bench()
    bench.begin()
    _ = bench.session.takeOutput()
    #expect(bench.exchange(message + [3, 0]).isEmpty)
    #expect(bench.session.end == end)
    #expect(!bench.session.isRunning)
    // Nothing is taken any more.
    _ = bench.exchange(SessionBench.request(isIncremental: false, width: 100, height: 50))
    #expect(bench.look().isEmpty)
  }

  @Test("No version ends the session at the first byte that shows it")
  func noVersion() {
    for text in ["POST / HTTP/1.1\r\n", "RFB 004.000\n", "RFB 003.00x\n", "RFB 003.008\r"] {
      var bench = bench()
      _ = bench.exchange(Array(text.utf8))
      #expect(bench.session.end == "no version", "\(text)")
    }
  }

  @Test("A clipboard is dropped, also one with the extension's negative length")
  func clipboard() {
    for length in [[0, 0, 0, 5], [0xFF, 0xFF, 0xFF, 0xFB]] as [[UInt8]] {
      var bench = bench()
      bench.begin()
      _ = bench.exchange([6, 0, 0, 0] + length + [77, 77, 77])
      _ = bench.exchange([77, 77, 5, 1, 0, 3, 0, 4])
      #expect(bench.session.end == nil)
      #expect(bench.session.takeEvents() == [.pointer(x: 3, y: 4, buttons: 1)])
    }
  }

  @Test("Keys with scan codes, keys without, pointers")
  func events() {
    var bench = bench()
    bench.begin()
    _ = bench.exchange(
      [255, 0, 0, 1, 0, 0, 0, 0x61, 0, 0, 0, 0x1E] + [
        255, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0xD3,
      ]
        + [4, 0, 0, 0, 0, 0, 0, 0x41] + [5, 0x82, 0xFF, 0xFF, 1, 2])
    #expect(
      bench.session.takeEvents() == [
        .key(keysym: 0x61, scanCode: 0x1E, isDown: true),
        .key(keysym: 0xFFFF, scanCode: 0xD3, isDown: false),
        .key(keysym: 0x41, scanCode: nil, isDown: false),
        .pointer(x: 0xFFFF, y: 0x102, buttons: 0x82),
      ])
  }

  @Test("The first update is whole and raw; then only tiles that changed; then none")
  func updates() throws {
    let display = TestDisplay(width: 100, height: 50)
    var bench = SessionBench(display)
    bench.begin()
    _ = bench.session.takeOutput()
    #expect(bench.look().isEmpty)
    _ = bench.exchange(SessionBench.request(isIncremental: false, width: 100, height: 50))
    let first = bench.look()
    #expect(Array(first.prefix(16)) == [0, 0, 0, 1, 0, 0, 0, 0, 0, 100, 0, 50, 0, 0, 0, 0])
    #expect(first.count == 16 + 4 * 100 * 50)
    // Nothing was asked for.
    display.draw(70, 20, 0x12_3456)
    #expect(bench.look().isEmpty)
    _ = bench.exchange(SessionBench.request(isIncremental: true, width: 100, height: 50))
    let second = bench.look()
    #expect(Array(second.prefix(16)) == [0, 0, 0, 1, 0, 64, 0, 20, 0, 16, 0, 2, 0, 0, 0, 0])
    #expect(second.count == 16 + 4 * 16 * 2)
    let place = 16 + 4 * 6
    #expect(Array(second[place..<(place + 4)]) == [0x56, 0x34, 0x12, 0xFF])
    // The same pixel again: its page was written, and nothing changed.
    display.draw(70, 20, 0x12_3456)
    _ = bench.exchange(SessionBench.request(isIncremental: true, width: 100, height: 50))
    #expect(bench.look().isEmpty)
    display.draw(0, 0, 1)
    #expect(bench.look().count == 16 + 4 * 16 * 2)
  }

  @Test("A request's region is kept to, tile by tile; what is outside of the picture is nothing")
  func regions() {
    let display = TestDisplay(width: 200, height: 50)
    var bench = SessionBench(display)
    bench.begin()
    _ = bench.session.takeOutput()
    _ = bench.exchange(
      SessionBench.request(isIncremental: false, x: 70, y: 10, width: 10, height: 10))
    #expect(
      Array(bench.look().prefix(16)) == [0, 0, 0, 1, 0, 64, 0, 10, 0, 16, 0, 10, 0, 0, 0, 0])
    for (x, y, width, height) in [
      (200, 0, 10, 10), (0, 50, 9, 9), (65_535, 65_535, 65_535, 65_535), (0, 0, 0, 0),
    ] {
      _ = bench.exchange(
        SessionBench.request(isIncremental: false, x: x, y: y, width: width, height: height))
      #expect(bench.look().isEmpty)
    }
    _ = bench.exchange(
      SessionBench.request(isIncremental: false, width: 65_535, height: 65_535))
    #expect(bench.look().count == 16 + 4 * 200 * 50)
  }

  @Test("A colour map is 256 fixed colours, and pixels are their numbers")
  func colourMap() {
    let display = TestDisplay(width: 2, height: 1)
    var bench = SessionBench(display)
    bench.begin()
    _ = bench.session.takeOutput()
    display.draw(0, 0, 0xFF_0000)
    display.draw(1, 0, 0x00_FFFF)
    let map = bench.exchange([0, 0, 0, 0, 8, 8, 0, 0] + [UInt8](repeating: 0, count: 12))
    #expect(Array(map.prefix(6)) == [1, 0, 0, 0, 1, 0])
    #expect(map.count == 6 + 6 * 256)
    let red = 6 + 6 * 0xE0
    let cyan = 6 + 6 * 0x1F
    #expect(Array(map[red..<red + 6]) == [0xFF, 0xFF, 0, 0, 0, 0])
    #expect(Array(map[cyan..<cyan + 6]) == [0, 0, 0xFF, 0xFF, 0xFF, 0xFF])
    _ = bench.exchange(SessionBench.request(isIncremental: false, width: 2, height: 1))
    #expect(Array(bench.look().suffix(2)) == [0xE0, 0x1F])
  }

  @Test("An output that is not taken stops updates, and the rest of one comes later")
  func limits() throws {
    let display = TestDisplay(width: 500, height: 500)
    var bench = SessionBench(display)
    bench.begin()
    _ = bench.session.takeOutput()
    _ = bench.exchange(SessionBench.request(isIncremental: false, width: 500, height: 500))
    bench.session.update(from: bench.picture)
    bench.session.update(from: bench.picture)
    let part = bench.session.takeOutput()
    // At most one rectangle past the limit.
    #expect(part.count < RFBSession.outputLimit + 4 * 64 * 1024 + 12)
    let queue = ByteQueue(part)
    var viewer = ViewerDecoder(width: 500, height: 500, read: queue.read)
    // What changes meanwhile may or may not be in the rest; the next update has it.
    display.draw(0, 0, 5)
    display.draw(499, 499, 6)
    queue.add(bench.look())
    _ = try queue.read(1)
    _ = try viewer.readUpdate()
    #expect(queue.left == 0)
    _ = bench.exchange(SessionBench.request(isIncremental: true, width: 500, height: 500))
    queue.add(bench.look())
    _ = try queue.read(1)
    _ = try viewer.readUpdate()
    let isSame = viewer.pixels == display.picture
    #expect(isSame && queue.left == 0)
  }
}
