import Testing

@testable import ControlAPI

@Suite struct ResponseParserTests {
  private static func answer(
    _ pieces: [[UInt8]]
  ) throws -> (status: Int?, body: String, isComplete: Bool) {
    var parser = HTTPResponseParser()
    var body: [UInt8] = []
    for piece in pieces where !parser.isComplete {
      try parser.receive(piece)
      body += parser.takeBody()
    }
    return (
      parser.status?.rawValue, String(decoding: body, as: UTF8.self), parser.isComplete
    )
  }

  @Test(
    arguments: [
      ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, "abc"),
      ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
      ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, ""),
      (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", 200,
        "abc"
      ),
    ])
  func answers(text: String, status: Int, body: String) throws {
    let bytes = Array(text.utf8)
    for pieces in [[bytes], bytes.map { [$0] }] {
      let answer = try Self.answer(pieces)
      #expect(answer.status == status)
      #expect(answer.body == body)
      #expect(answer.isComplete)
    }
  }

  @Test func whatThisServerWrites() throws {
    for response in [
      ControlReply.done.response, ControlReply.failure(.conflict, "no").response,
      ControlReply.picture([UInt8](repeating: 7, count: 100_000)).response,
    ] {
      let answer = try Self.answer([response.bytes(keepsAlive: true)])
      #expect(answer.status == response.status.rawValue)
      #expect(Array(answer.body.utf8).count == response.body.count)
      #expect(answer.isComplete)
    }
  }

  @Test(
    arguments: [
      "", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "nonsense\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 99 X\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
      String(repeating: "a", count: 20_000),
    ])
  func broken(text: String) {
    #expect(throws: HTTPResponseParser.Failure.self) {
      _ = try Self.answer([Array(text.utf8), []])
    }
  }
}
