import Bytes
import Testing

@testable import RemoteFramebuffer

@Suite("WebSocket")
struct WebSocketTests {
  /// The example of RFC 6455, section 1.3, as noVNC asks: no subprotocol.
  private static func request(_ more: String = "", key: Bool = true, version: Int = 13) -> [UInt8] {
    Array(
      ("GET /websockify HTTP/1.1\r\nHost: localhost:5900\r\nUpgrade: WebSocket\r\n"
        + "Connection: keep-alive, Upgrade\r\n"
        + (key ? "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" : "")
        + "Sec-WebSocket-Version: \(version)\r\n"
        + "Sec-WebSocket-Extensions: permessage-deflate\r\n\(more)\r\n").utf8)
  }

  private static let answer =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

  private static func frame(
    _ first: UInt8, _ data: [UInt8], mask: [UInt8] = [1, 2, 3, 4], length: [UInt8]? = nil
  ) -> [UInt8] {
    [first] + (length ?? [0x80 | UInt8(data.count)]) + mask
      + data.enumerated().map { $1 ^ mask[$0 % 4] }
  }

  private static func opened() -> WebSocketStream {
    var stream = WebSocketStream(trustsAllOrigins: false)
    _ = stream.receive(request())
    return stream
  }

  @Test("The answer of RFC 6455's example; in pieces it is the same")
  func handshake() {
    var stream = WebSocketStream(trustsAllOrigins: false)
    let received = stream.receive(Self.request())
    #expect(String(decoding: received.answer, as: UTF8.self) == Self.answer)
    #expect(received.hasOpened && !received.isOver && stream.isOpen)
    var pieces = WebSocketStream(trustsAllOrigins: false)
    var answer: [UInt8] = []
    for byte in Self.request() { answer += pieces.receive([byte]).answer }
    #expect(String(decoding: answer, as: UTF8.self) == Self.answer)
  }

  @Test(
    "Without a password only pages of this host may connect",
    arguments: [
      ("http://localhost:8000", true), ("http://127.0.0.1", true), ("https://127.8.9.1:1", true),
      ("http://[::1]:80", true), ("http://example.com", false), ("null", false),
      ("http://127.0.0.1.example.com", false), ("http://localhost.example.com", false),
      ("http://[::1].example.com", false), ("file://", false), ("http://127.0.0", false),
      ("http://127.0.0.256", false),
    ])
  func origins(origin: String, isAllowed: Bool) {
    var stream = WebSocketStream(trustsAllOrigins: false)
    let received = stream.receive(Self.request("Origin: \(origin)\r\n"))
    #expect(received.hasOpened == isAllowed && received.isOver != isAllowed)
    var trusting = WebSocketStream(trustsAllOrigins: true)
    #expect(trusting.receive(Self.request("Origin: \(origin)\r\n")).hasOpened)
  }

  @Test("Other requests are refused with a status, and one without an end")
  func refusals() {
    for (request, status) in [
      (Self.request(key: false), "426"), (Self.request(version: 8), "426"),
      (Array("GET / HTTP/1.1\r\n\r\n".utf8), "426"), (Array("GET / HTTP/1.0\r\n\r\n".utf8), "426"),
      (Array("GET / HTTP/1.1\r\nnonsense\r\n\r\n".utf8), "426"),
      ([UInt8](repeating: UInt8(ascii: "G"), count: 8193), "431"),
    ] {
      var stream = WebSocketStream(trustsAllOrigins: true)
      let received = stream.receive(request)
      #expect(String(decoding: received.answer.prefix(12), as: UTF8.self) == "HTTP/1.1 \(status)")
      #expect(received.isOver && !received.hasOpened && !stream.isOpen)
    }
  }

  @Test("Frames: whole, in fragments, long, and byte by byte: one stream")
  func frames() {
    let long = (0..<70_000).map { UInt8(truncatingIfNeeded: $0) }
    let bytes =
      Self.frame(0x82, [1, 2, 3, 4, 5]) + Self.frame(0x02, [6]) + Self.frame(0x80, [7, 8])
      + Self.frame(0x82, []) + Self.frame(0x82, Array(long[..<300]), length: [0xFE, 1, 44])
      + Self.frame(0x82, long, length: [0xFF, 0, 0, 0, 0, 0, 1, 0x11, 0x70])
    var stream = Self.opened()
    let received = stream.receive(bytes)
    let isSame = received.stream == [1, 2, 3, 4, 5, 6, 7, 8] + long[..<300] + long
    #expect(isSame && received.answer.isEmpty && !received.isOver)
    var pieces = Self.opened()
    var output: [UInt8] = []
    for byte in bytes.prefix(400) { output += pieces.receive([byte]).stream }
    let isPrefix = received.stream.starts(with: output)
    #expect(isPrefix && output.count > 300)
  }

  @Test("A ping is answered by its pong, a close by a close; what may not be ends it")
  func control() {
    var stream = Self.opened()
    #expect(stream.receive(Self.frame(0x89, [9, 8])).answer == [0x8A, 2, 9, 8])
    #expect(stream.receive(Self.frame(0x8A, [1])) == WebSocketStream.Received())
    let closed = stream.receive(Self.frame(0x88, [3, 0xE8, 65]) + Self.frame(0x82, [1]))
    #expect(closed.answer == [0x88, 2, 3, 0xE8] && closed.isOver && closed.stream.isEmpty)
    for (frame, code) in [
      (Self.frame(0x81, [65]), 1003), (Self.frame(0xC2, [1]), 1002), ([0x82, 1, 1], 1002),
      ([0x89, 0xFE, 0, 126, 0, 0, 0, 0], 1002), (Self.frame(0x83, [1]), 1003),
    ] as [([UInt8], UInt16)] {
      var stream = Self.opened()
      let received = stream.receive(frame)
      #expect(received.isOver && received.answer == [0x88, 2] + code.bigEndianBytes)
    }
  }

  @Test("Frames to the browser: three kinds of length, no mask")
  func output() {
    #expect(WebSocketStream.frame([5]) == [0x82, 1, 5])
    #expect(
      Array(WebSocketStream.frame([UInt8](repeating: 0, count: 126)).prefix(5)) == [
        0x82, 126, 0, 126, 0,
      ])
    #expect(
      Array(WebSocketStream.frame([UInt8](repeating: 0, count: 65_536)).prefix(10)) == [
        0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0,
      ])
  }
}
