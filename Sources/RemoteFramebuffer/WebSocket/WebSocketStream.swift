internal import Bytes

/// A viewer in a browser: RFB within a WebSocket's binary frames. Frames and messages do not match:
/// what they hold is one stream. Source: RFC 6455.
///
/// No subprotocol is answered: noVNC asks for none, and browsers refuse one that they did not ask
/// for. Extensions are not answered either, so there are none.
struct WebSocketStream: Sendable {
  /// The request's end has to come within so many bytes.
  static let largestRequest = 8192
  private static let controlLimit = 125

  private enum Phase {
    case request
    /// Between frames, or in a frame's header.
    case header
    /// In a frame's data.
    case data(left: UInt64, mask: [UInt8], place: Int)
    case closed
  }

  private enum Opcode {
    static let continuation: UInt8 = 0
    static let binary: UInt8 = 2
    static let close: UInt8 = 8
    static let ping: UInt8 = 9
    static let pong: UInt8 = 10
  }

  private var phase = Phase.request
  private var input: [UInt8] = []
  /// Whether pages of any origin may connect: a viewer has to know a password.
  private let trustsAllOrigins: Bool

  init(trustsAllOrigins: Bool) {
    self.trustsAllOrigins = trustsAllOrigins
  }

  /// What bytes from the browser come to.
  struct Received: Equatable {
    /// Bytes of the RFB stream.
    var stream: [UInt8] = []
    /// Bytes for the browser, as they are.
    var answer: [UInt8] = []
    /// Whether the RFB stream begins.
    var hasOpened = false
    /// Whether the connection ends once the answer is sent.
    var isOver = false
  }

  /// Whether bytes may go to the browser in frames.
  var isOpen: Bool {
    switch phase {
    case .header, .data: true
    case .request, .closed: false
    }
  }

  mutating func receive(_ bytes: [UInt8]) -> Received {
    var received = Received()
    input += bytes
    while step(&received) {}
    if case .closed = phase {
      received.isOver = true
      input = []
    }
    return received
  }

  /// A frame with bytes for the browser.
  static func frame(_ bytes: [UInt8]) -> [UInt8] {
    frame(opcode: Opcode.binary, bytes)
  }

  private static func frame(opcode: UInt8, _ bytes: [UInt8]) -> [UInt8] {
    let length: [UInt8] =
      if bytes.count <= controlLimit {
        [UInt8(bytes.count)]
      } else if let short = UInt16(exactly: bytes.count) {
        [126] + short.bigEndianBytes
      } else {
        [127] + UInt64(bytes.count).bigEndianBytes
      }
    return [0x80 | opcode] + length + bytes
  }

  /// Takes one piece of the input; false when more is needed.
  private mutating func step(_ received: inout Received) -> Bool {
    switch phase {
    case .request: takeRequest(&received)
    case .header: takeHeader(&received)
    case .data(let left, let mask, let place): takeData(left, mask, place, &received)
    case .closed: false
    }
  }

  // MARK: The request

  private mutating func takeRequest(_ received: inout Received) -> Bool {
    guard let end = Self.end(of: input) else {
      if input.count > Self.largestRequest {
        refuse("431 Request Header Fields Too Large", &received)
      }
      return false
    }
    let request = Request(input[..<end])
    input.removeFirst(end)
    guard let request, request.isUpgrade, let key = request.fields["sec-websocket-key"] else {
      refuse("426 Upgrade Required", &received)
      return false
    }
    guard trustsAllOrigins || Self.isLocal(request.fields["origin"]) else {
      refuse("403 Forbidden", &received)
      return false
    }
    let accept = base64(sha1(Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)))
    received.answer += Array(
      """
      HTTP/1.1 101 Switching Protocols\r
      Upgrade: websocket\r
      Connection: Upgrade\r
      Sec-WebSocket-Accept: \(accept)\r
      \r\n
      """.utf8)
    received.hasOpened = true
    phase = .header
    return true
  }

  private mutating func refuse(_ status: String, _ received: inout Received) {
    phase = .closed
    received.answer += Array(
      "HTTP/1.1 \(status)\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".utf8)
  }

  /// The end of a request's fields: after the empty line.
  private static func end(of input: [UInt8]) -> Int? {
    guard input.count >= 4 else { return nil }
    let last = min(input.count, largestRequest)
    return (4...max(last, 4)).first { input[($0 - 4)..<$0].elementsEqual([13, 10, 13, 10]) }
  }

  private struct Request {
    /// By name, in lower case; of several the last.
    private(set) var fields: [String: String] = [:]

    init?(_ bytes: ArraySlice<UInt8>) {
      let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\r\n")
      guard let first = lines.first, first.hasPrefix("GET "), first.hasSuffix(" HTTP/1.1") else {
        return nil
      }
      for line in lines.dropFirst() {
        guard let colon = line.firstIndex(of: ":") else { return nil }
        fields[line[..<colon].lowercased()] = Self.trimmed(line[line.index(after: colon)...])
      }
    }

    var isUpgrade: Bool {
      fields["upgrade"]?.lowercased() == "websocket" && fields["sec-websocket-version"] == "13"
    }

    private static func trimmed(_ text: Substring) -> String {
      let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\t" }
      let rest = text.drop(while: isSpace)
      return String(rest.reversed().drop(while: isSpace).reversed())
    }
  }

  /// Whether a page's origin is this host. Any page that a user opens may connect to a port of the
  /// user's own machine, so without a password only pages from there may. No origin is no browser.
  private static func isLocal(_ origin: String?) -> Bool {
    guard let origin else { return true }
    for scheme in ["http://", "https://"] where origin.hasPrefix(scheme) {
      let host = origin.dropFirst(scheme.count)
      if host.hasPrefix("[::1]") { return host.dropFirst(5).first.map { $0 == ":" } ?? true }
      let name = host.prefix { $0 != ":" }
      return name == "localhost" || isLoopback(name)
    }
    return false
  }

  private static func isLoopback(_ name: Substring) -> Bool {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
    return parts.count == 4 && parts[0] == 127 && !parts.contains(nil)
  }

  // MARK: Frames

  private mutating func takeHeader(_ received: inout Received) -> Bool {
    guard input.count >= 2 else { return false }
    let opcode = input[0] & 0xF
    let isControl = opcode >= Opcode.close
    let short = input[1] & 0x7F
    // Extensions' bits, and frames without a mask, end the connection, as RFC 6455 5.1 wants it.
    guard input[0] & 0x70 == 0, input[1] & 0x80 != 0, !isControl || short <= 125 else {
      return fail(1002, &received)
    }
    let lengthByteCount = short == 126 ? 2 : short == 127 ? 8 : 0
    let headerByteCount = 2 + lengthByteCount + 4
    guard input.count >= headerByteCount else { return false }
    let length =
      switch short {
      case 126: UInt64(input.loadBE(at: 2, as: UInt16.self))
      case 127: input.loadBE(at: 2, as: UInt64.self)
      default: UInt64(short)
      }
    let mask = Array(input[(headerByteCount - 4)..<headerByteCount])
    switch opcode {
    case Opcode.binary, Opcode.continuation:
      input.removeFirst(headerByteCount)
      if length > 0 { phase = .data(left: length, mask: mask, place: 0) }
      return true
    case Opcode.close, Opcode.ping, Opcode.pong:
      let end = headerByteCount + Int(length)
      guard input.count >= end else { return false }
      let data = zip(input[headerByteCount..<end], 0...).map { $0 ^ mask[$1 % 4] }
      input.removeFirst(end)
      if opcode == Opcode.ping {
        received.answer += Self.frame(opcode: Opcode.pong, data)
      } else if opcode == Opcode.close {
        received.answer += Self.frame(opcode: Opcode.close, Array(data.prefix(2)))
        phase = .closed
      }
      return true
    default:
      // Text is no RFB.
      return fail(1003, &received)
    }
  }

  private mutating func takeData(
    _ left: UInt64, _ mask: [UInt8], _ place: Int, _ received: inout Received
  ) -> Bool {
    guard !input.isEmpty else { return false }
    let count = Int(min(left, UInt64(input.count)))
    for index in 0..<count { received.stream.append(input[index] ^ mask[(place + index) % 4]) }
    input.removeFirst(count)
    let rest = left - UInt64(count)
    phase = rest == 0 ? .header : .data(left: rest, mask: mask, place: (place + count) % 4)
    return true
  }

  private mutating func fail(_ code: UInt16, _ received: inout Received) -> Bool {
    received.answer += Self.frame(opcode: Opcode.close, code.bigEndianBytes)
    phase = .closed
    return false
  }
}
