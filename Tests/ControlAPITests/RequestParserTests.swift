import TestSupport
import Testing

@testable import ControlAPI

@Suite struct RequestParserTests {
  private static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  /// All requests of a stream, and the error that ends it.
  private static func requests(
    _ pieces: [[UInt8]]
  ) -> (requests: [HTTPRequest], error: HTTPError?) {
    var parser = HTTPRequestParser()
    var requests: [HTTPRequest] = []
    for piece in pieces {
      parser.receive(piece)
      do throws(HTTPError) {
        while let request = try parser.next() { requests.append(request) }
      } catch {
        return (requests, error)
      }
    }
    return (requests, nil)
  }

  @Test func wholeRequest() throws {
    let text =
      "PUT /api/v1/vm.resize?x=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    let (requests, error) = Self.requests([Self.bytes(text)])
    #expect(error == nil)
    var expected = HTTPRequest(.put, "/api/v1/vm.resize")
    expected.query = "x=1"
    expected.body = Self.bytes("{}")
    #expect(requests == [expected])
  }

  /// Each cut of a stream of two requests gives the same two.
  @Test func everyCut() {
    let stream = Self.bytes(
      "\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\nPUT /b HTTP/1.1\nhost:x\nContent-Length: 3\n\nabc")
    let whole = Self.requests([stream]).requests
    #expect(whole.map(\.path) == ["/a", "/b"])
    #expect(whole.last?.body == Self.bytes("abc"))
    for cut in stream.indices {
      let parts = [Array(stream[..<cut]), Array(stream[cut...])]
      #expect(Self.requests(parts).requests == whole, "cut at \(cut)")
    }
    #expect(Self.requests(stream.map { [$0] }).requests == whole)
  }

  @Test(
    arguments: [
      ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", true, true),
      ("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false, true),
      ("GET / HTTP/1.1\r\nHost: x\r\nConnection: Keep-Alive, Close\r\n\r\n", false, true),
      ("GET / HTTP/1.0\r\n\r\n", false, false),
      ("GET / HTTP/1.7\r\nHost: x\r\n\r\n", true, true),
    ])
  func connections(text: String, keepsAlive: Bool, takesChunks: Bool) throws {
    let request = try #require(Self.requests([Self.bytes(text)]).requests.first)
    #expect(request.keepsAlive == keepsAlive)
    #expect(request.takesChunks == takesChunks)
  }

  @Test(
    arguments: [
      ("/", "/", nil), ("/a/b", "/a/b", nil), ("/a?", "/a", ""), ("/a?b?c", "/a", "b?c"),
      ("http://host/a?b", "/a", "b"), ("HTTP://host", "/", nil),
    ] as [(String, String, String?)])
  func targets(target: String, path: String, query: String?) throws {
    let text = "GET \(target) HTTP/1.1\r\nHost: x\r\n\r\n"
    let request = try #require(Self.requests([Self.bytes(text)]).requests.first)
    #expect(request.path == path)
    #expect(request.query == query)
  }

  private static let long = String(repeating: "a", count: 5000)
  private static let start = "GET / HTTP/1.1\r\nHost: x\r\n"

  /// What no server may take, with its answer (RFC 9112).
  private static let wrong: [(String, HTTPStatus)] = [
    ("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n", .badRequest),
    ("GET /\r\n", .badRequest),
    ("GET  / HTTP/1.1\r\n", .badRequest),
    (" GET / HTTP/1.1\r\n", .badRequest),
    ("G\u{7F}T / HTTP/1.1\r\n", .badRequest),
    ("GET / HTTP/1.1\rX\r\n", .badRequest),
    ("GET /\u{0} HTTP/1.1\r\n", .badRequest),
    ("GET /ä HTTP/1.1\r\n", .badRequest),
    ("GET a HTTP/1.1\r\n", .badRequest),
    ("GET * HTTP/1.1\r\n", .badRequest),
    ("GET / http/1.1\r\n", .badRequest),
    ("GET / HTTP/1\r\n", .badRequest),
    ("GET / HTTP/2.0\r\n", .versionNotSupported),
    ("GET / HTTP/0.9\r\n", .versionNotSupported),
    ("GET /\(long) HTTP/1.1\r\n", .targetTooLong),
    (long, .targetTooLong),
    ("GET / HTTP/1.1\r\n\r\n", .badRequest),
    (start + "Host: y\r\n\r\n", .badRequest),
    (start + "X : y\r\n\r\n", .badRequest),
    (start + " folded\r\n\r\n", .badRequest),
    (start + "no colon\r\n\r\n", .badRequest),
    (start + ": y\r\n\r\n", .badRequest),
    (start + "X: \(long)\r\n\r\n", .headersTooLarge),
    (start + String(repeating: "X: y\r\n", count: 32), .headersTooLarge),
    (start + "Content-Length: 1, 2\r\n\r\n", .badRequest),
    (start + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", .badRequest),
    (start + "Content-Length: -1\r\n\r\n", .badRequest),
    (start + "Content-Length: +1\r\n\r\n", .badRequest),
    (start + "Content-Length: 0x1\r\n\r\n", .badRequest),
    (start + "Content-Length: \r\n\r\n", .badRequest),
    (start + "Content-Length: 65537\r\n\r\n", .contentTooLarge),
    (start + "Content-Length: 99999999999999999999\r\n\r\n", .contentTooLarge),
    (start + "Transfer-Encoding: chunked\r\n\r\n", .lengthRequired),
    (start + "Transfer-Encoding: gzip\r\n\r\n", .notImplemented),
    (start + "Transfer-Encoding: gzip, chunked\r\n\r\n", .notImplemented),
    (start + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", .badRequest),
    (start + "Expect: the best\r\n\r\n", .expectationFailed),
  ]

  @Test(arguments: wrong)
  func refused(text: String, status: HTTPStatus) {
    let (requests, error) = Self.requests([Self.bytes(text)])
    #expect(requests.isEmpty)
    #expect(error?.status == status, "\(text.prefix(60))")
    // Byte by byte, too.
    #expect(Self.requests(Self.bytes(text).map { [$0] }).error?.status == status)
  }

  @Test func anErrorStays() {
    var parser = HTTPRequestParser()
    parser.receive(Self.bytes("nonsense\r\n"))
    #expect(throws: HTTPError.self) { try parser.next() }
    parser.receive(Self.bytes("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
    #expect(throws: HTTPError.self) { try parser.next() }
    #expect(!parser.isFull)
  }

  @Test func continueOnlyWhereTheBodyIsMissing() throws {
    let head = Self.request("PUT / HTTP/1.1", "Content-Length: 2\r\nExpect: 100-continue")
    var parser = HTTPRequestParser()
    parser.receive(head)
    let none = try parser.next()
    #expect(none == nil)
    let (first, second) = (parser.takeContinue(), parser.takeContinue())
    #expect(first && !second)
    parser.receive(Self.bytes("{}"))
    let request = try parser.next()
    #expect(request?.body == Self.bytes("{}"))

    parser.receive(head + Self.bytes("{}"))
    let (another, isOwed) = (try parser.next(), parser.takeContinue())
    #expect(another != nil && !isOwed)
  }

  private static func request(_ line: String, _ fields: String) -> [UInt8] {
    Self.bytes("\(line)\r\nHost: x\r\n\(fields)\r\n\r\n")
  }

  /// Bytes of any kind: it ends with requests or an error, and keeps no more than it may.
  @Test(arguments: 0..<200 as Range<UInt64>)
  func anything(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let words = [
      "GET", " ", "/", "HTTP/1.1", "\r\n", "\n", "Host: x\r\n", "Content-Length: ", "5", ":", "\r",
      "\r\n\r\n", "Transfer-Encoding: chunked\r\n", "Expect: 100-continue\r\n",
    ]
    var parser = HTTPRequestParser()
    for _ in 0..<200 {
      let piece =
        Bool.random(using: &random)
        ? Self.bytes(words.randomElement(using: &random) ?? "")
        : [UInt8.random(in: 0...255, using: &random)]
      parser.receive(piece)
      do throws(HTTPError) {
        while let request = try parser.next() { #expect(!request.path.isEmpty) }
      } catch {
        #expect(error.status.rawValue >= 400, "seed \(seed)")
        return
      }
    }
  }
}
