/// The server's end of a connection: bytes in, requests out, answers in, bytes out. No socket.
///
/// One request at a time: the next one is taken when the one before is answered, so that a client
/// that sends many has its answers in their order. What cannot be carried out is answered here.
package struct ControlSession: Sendable {
  /// With more to send no request is taken: answers are longer than what asks for them.
  private static let outputLimit = 64 << 10

  private var parser = HTTPRequestParser()
  /// The request at hand.
  private var current: HTTPRequest?
  private var output: [UInt8] = []
  private var isStreaming = false
  private var isChunked = false
  /// Nothing is read any more; the connection ends when all is sent.
  package private(set) var isEnding = false

  package init() {}

  /// Whether a request is being carried out.
  package var isBusy: Bool { current != nil }

  /// Whether no more should be read for now.
  package var isFull: Bool { parser.isFull }

  /// Whether a request has begun and is not whole.
  package var isWithinRequest: Bool { !isEnding && parser.isWithinRequest }

  package mutating func receive(_ bytes: [UInt8]) {
    // Who gets events has nothing more to ask.
    if !isEnding, !isStreaming { parser.receive(bytes) }
  }

  /// Takes the next request; nil if there is none, one is being carried out, or much is to be sent.
  package mutating func next() -> ControlRequest? {
    while current == nil, !isEnding, !isStreaming, output.count < Self.outputLimit {
      do throws(HTTPError) {
        guard let request = try parser.next() else {
          if parser.takeContinue() { output += HTTPResponse.goOn }
          return nil
        }
        current = request
        if let understood = try understand(request) { return understood }
      } catch {
        // Behind an error of the stream itself nothing is known any more.
        if current == nil {
          output += ControlReply.failure(error).response.bytes(keepsAlive: false)
          isEnding = true
        } else {
          answer(.failure(error))
        }
      }
    }
    return nil
  }

  /// Nil for what is answered already.
  private mutating func understand(_ request: HTTPRequest) throws(HTTPError) -> ControlRequest? {
    if request.path == "*" {
      answer(.allow("GET, HEAD, OPTIONS, PUT"))
      return nil
    }
    guard let route = ControlRoute(path: request.path) else {
      throw HTTPError(
        .notFound,
        "there is no such resource; there are "
          + ControlRoute.allCases.map(\.path).joined(separator: ", "))
    }
    if request.method == .options {
      answer(.allow(route.allowed))
      return nil
    }
    guard request.method == route.method || request.method == .head && route.method == .get else {
      var reply = ControlReply.failure(
        .methodNotAllowed, "\(route.rawValue) is asked for by \(route.method.rawValue)")
      reply.response.fields = [("Allow", route.allowed)]
      answer(reply)
      return nil
    }
    guard request.query == nil else {
      throw HTTPError(.badRequest, "\(route.rawValue) takes no query; leave out what follows '?'")
    }
    return try ControlRequest(route, body: request.body)
  }

  /// Answers the request at hand; nothing happens without one.
  ///
  /// - Parameter keepsAlive: false ends the connection behind the answer; a client asks again for
  ///   what it was not answered (RFC 9112 §9.6).
  package mutating func answer(_ reply: ControlReply, keepsAlive: Bool = true) {
    guard let request = current else { return }
    current = nil
    if reply.isStream, request.method != .head {
      isStreaming = true
      isChunked = request.takesChunks
      output += reply.response.streamHead(isChunked: isChunked)
      return
    }
    let keepsAlive = keepsAlive && request.keepsAlive
    output += reply.response.bytes(
      leavesBodyOut: request.method == .head, keepsAlive: keepsAlive)
    if !keepsAlive { isEnding = true }
  }

  /// Whether the client gets events.
  package var isEventStream: Bool { isStreaming && !isEnding }

  /// Adds lines to a stream of events.
  package mutating func add(_ lines: String) {
    guard isEventStream else { return }
    output += isChunked ? HTTPResponse.chunk(Array(lines.utf8)) : Array(lines.utf8)
  }

  /// The server ends: what was begun is not finished any more.
  package mutating func end() {
    if isEventStream, isChunked { output += HTTPResponse.lastChunk }
    if current != nil { answer(.failure(.unavailable, "the run ends")) }
    isEnding = true
  }

  /// A request takes too long to come.
  package mutating func timeOut() {
    guard !isEnding else { return }
    output += ControlReply.failure(.requestTimeout, "the request did not come in time").response
      .bytes(keepsAlive: false)
    isEnding = true
  }

  /// Takes what is to be sent.
  package mutating func takeOutput() -> [UInt8] {
    defer { output = [] }
    return output
  }
}
