/// What a request asks to be done with its target (RFC 9110 §9).
package struct HTTPMethod: RawRepresentable, Hashable, Sendable {
  package let rawValue: String

  package init(rawValue: String) {
    self.rawValue = rawValue
  }

  package static let get = HTTPMethod(rawValue: "GET")
  package static let head = HTTPMethod(rawValue: "HEAD")
  package static let put = HTTPMethod(rawValue: "PUT")
  package static let options = HTTPMethod(rawValue: "OPTIONS")
}

/// A whole request.
package struct HTTPRequest: Equatable, Sendable {
  package var method: HTTPMethod
  /// Without a query; `*` for the server itself.
  package var path: String
  /// What stands behind a question mark; nil without one.
  package var query: String?
  package var body: [UInt8] = []
  /// Whether the connection goes on behind it.
  package var keepsAlive = true
  /// Whether its client takes bodies in chunks: HTTP/1.1.
  package var takesChunks = true

  package init(_ method: HTTPMethod, _ path: String) {
    self.method = method
    self.path = path
  }
}

/// What stands before a body.
struct HTTPRequestHead: Equatable, Sendable {
  var request: HTTPRequest
  var bodyByteCount = 0
  var expectsContinue = false

  private struct Version {
    let minor: UInt8
  }

  /// Reads a request line: method, target and version, with one space each between them.
  init(requestLine line: String) throws(HTTPError) {
    let parts = line.split(separator: " ", omittingEmptySubsequences: false)
    guard parts.count == 3, HTTPText.isToken(parts[0]), !parts[1].isEmpty else {
      throw HTTPError(
        .badRequest, "the first line is not METHOD TARGET HTTP/1.1, with one space each")
    }
    let version = try Self.version(parts[2])
    request = HTTPRequest(HTTPMethod(rawValue: String(parts[0])), "")
    request.takesChunks = version.minor >= 1
    request.keepsAlive = version.minor >= 1
    (request.path, request.query) = try Self.target(parts[1], of: request.method)
  }

  private static func version(_ text: Substring) throws(HTTPError) -> Version {
    let bytes = Array(text.utf8)
    let digits: ClosedRange<UInt8> = 0x30...0x39
    guard bytes.count == 8, text.hasPrefix("HTTP/"), digits.contains(bytes[5]),
      bytes[6] == UInt8(ascii: "."), digits.contains(bytes[7])
    else { throw HTTPError(.badRequest, "the first line does not end with HTTP/1.1") }
    guard bytes[5] == UInt8(ascii: "1") else {
      throw HTTPError(.versionNotSupported, "\(text) is not spoken here; use HTTP/1.1")
    }
    return Version(minor: bytes[7] - UInt8(ascii: "0"))
  }

  /// The path and the query of a target in origin form, or in absolute form, of which the
  /// authority does not matter here.
  private static func target(
    _ text: Substring, of method: HTTPMethod
  ) throws(HTTPError) -> (String, String?) {
    guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
      throw HTTPError(.badRequest, "the target has characters that a target has not")
    }
    if text == "*", method == .options { return ("*", nil) }
    var rest = text
    if !rest.hasPrefix("/") {
      guard text.lowercased().hasPrefix("http://") else {
        throw HTTPError(.badRequest, "the target does not begin with a slash")
      }
      rest = text.dropFirst("http://".count)
      rest = rest.firstIndex(of: "/").map { rest[$0...] } ?? "/"
    }
    guard let mark = rest.firstIndex(of: "?") else { return (String(rest), nil) }
    return (String(rest[..<mark]), String(rest[rest.index(after: mark)...]))
  }

  /// Takes the header fields that matter here.
  mutating func take(_ fields: [HTTPField]) throws(HTTPError) {
    let hosts = fields.count { $0.name == "host" }
    guard hosts == 1 || hosts == 0 && !request.takesChunks else {
      throw HTTPError(.badRequest, "a request of HTTP/1.1 has one Host field; this has \(hosts)")
    }
    let connection = Self.words(of: "connection", fields)
    if connection.contains("close") { request.keepsAlive = false }
    let codings = Self.words(of: "transfer-encoding", fields)
    let lengths = Self.words(of: "content-length", fields)
    if !codings.isEmpty {
      // Two ways to find the end of a body are how requests are smuggled.
      guard lengths.isEmpty else {
        throw HTTPError(.badRequest, "both Content-Length and Transfer-Encoding")
      }
      guard codings == ["chunked"] else {
        throw HTTPError(.notImplemented, "no transfer coding is known here; send Content-Length")
      }
      throw HTTPError(.lengthRequired, "a body in chunks is not taken; send Content-Length")
    }
    if let length = lengths.first {
      guard lengths.allSatisfy({ $0 == length }), !length.isEmpty,
        length.utf8.allSatisfy({ 0x30...0x39 ~= $0 })
      else { throw HTTPError(.badRequest, "Content-Length is not one number") }
      // Too many digits are too large a number.
      guard let count = Int(length), count <= HTTPRequestParser.maximumBodyByteCount else {
        throw HTTPError(
          .contentTooLarge, "a body has at most \(HTTPRequestParser.maximumBodyByteCount) bytes")
      }
      bodyByteCount = count
    }
    let expectations = Self.words(of: "expect", fields)
    guard expectations.isEmpty || expectations == ["100-continue"] else {
      throw HTTPError(.expectationFailed, "no expectation is known but 100-continue")
    }
    expectsContinue = !expectations.isEmpty && request.takesChunks
  }

  /// The elements of the lists of all fields with a name, in lower case.
  private static func words(of name: String, _ fields: [HTTPField]) -> [String] {
    fields.filter { $0.name == name }.flatMap { field in
      field.value.split(separator: ",", omittingEmptySubsequences: false).map {
        String(HTTPText.trimmed($0)).lowercased()
      }
    }
  }
}

/// A header field; its name in lower case.
struct HTTPField: Equatable, Sendable {
  let name: String
  let value: String

  /// Reads a line.
  init(_ line: String) throws(HTTPError) {
    // A line that begins with a space would go on the one before (RFC 9112 §5.2).
    guard let colon = line.firstIndex(of: ":"), HTTPText.isToken(line[..<colon]) else {
      throw HTTPError(.badRequest, "a header line is not NAME: VALUE")
    }
    name = line[..<colon].lowercased()
    value = String(HTTPText.trimmed(line[line.index(after: colon)...]))
  }
}

/// The characters of HTTP (RFC 9110 §5.6).
enum HTTPText {
  private static let marks = Set("!#$%&'*+-.^_`|~".utf8)

  /// Whether it is a name of a method or field.
  static func isToken(_ text: Substring) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy { byte in
        0x30...0x39 ~= byte || 0x41...0x5A ~= byte || 0x61...0x7A ~= byte || marks.contains(byte)
      }
  }

  /// Without spaces and tabs at its ends.
  static func trimmed(_ text: Substring) -> Substring {
    var text = text
    while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
    while let last = text.last, last == " " || last == "\t" { text.removeLast() }
    return text
  }
}
