/// Takes requests out of a stream of bytes, however it is cut (RFC 9112).
///
/// All that it keeps is bounded. After an error nothing can be known of where the next request
/// begins: the connection ends.
package struct HTTPRequestParser: Sendable {
  /// Of a request line or a header line, without its end.
  package static let maximumLineByteCount = 2048
  package static let maximumHeaderCount = 32
  package static let maximumBodyByteCount = 64 << 10
  /// Empty lines that may stand before a request line; old clients end a body with one.
  private static let maximumEmptyLineCount = 4
  /// What is kept of a stream whose requests are not asked for: a whole request and a little more.
  static let bufferByteCount =
    maximumBodyByteCount + maximumLineByteCount * (maximumHeaderCount + 1)

  private enum Phase {
    case requestLine(emptyLineCount: Int)
    case fields(HTTPRequestHead, [HTTPField])
    case body(HTTPRequestHead)
    case failed(HTTPError)
  }

  private var phase = Phase.requestLine(emptyLineCount: 0)
  private var bytes: [UInt8] = []
  /// Where what was not taken begins.
  private var start = 0
  /// How far a line's end was looked for.
  private var searched = 0
  /// Whether the client waits to be told that its body is wanted.
  private var owesContinue = false

  package init() {}

  /// Adds what came.
  package mutating func receive(_ received: [UInt8]) {
    if case .failed = phase { return }
    bytes += received
  }

  /// Whether no more should be read before a request is taken.
  package var isFull: Bool { bytes.count - start >= Self.bufferByteCount }

  /// Whether a request has begun and is not whole.
  package var isWithinRequest: Bool {
    if case .requestLine = phase { return bytes.count > start }
    return true
  }

  /// Takes the next request; nil while it is not whole. An error comes again.
  package mutating func next() throws(HTTPError) -> HTTPRequest? {
    do throws(HTTPError) {
      while true {
        switch phase {
        case .failed(let error): throw error
        case .requestLine(let emptyLineCount):
          guard let line = try line(tooLong: .targetTooLong) else { return nil }
          guard line.isEmpty else {
            phase = .fields(try HTTPRequestHead(requestLine: line), [])
            continue
          }
          guard emptyLineCount < Self.maximumEmptyLineCount else {
            throw HTTPError(.badRequest, "empty lines in place of a request")
          }
          phase = .requestLine(emptyLineCount: emptyLineCount + 1)
        case .fields(var head, var fields):
          guard let line = try line(tooLong: .headersTooLarge) else { return nil }
          guard line.isEmpty else {
            guard fields.count < Self.maximumHeaderCount else {
              throw HTTPError(
                .headersTooLarge, "a request has at most \(Self.maximumHeaderCount) header lines")
            }
            fields.append(try HTTPField(line))
            phase = .fields(head, fields)
            continue
          }
          try head.take(fields)
          owesContinue = head.expectsContinue && bytes.count - start < head.bodyByteCount
          phase = .body(head)
        case .body(let head):
          guard bytes.count - start >= head.bodyByteCount else { return nil }
          var request = head.request
          request.body = Array(bytes[start..<(start + head.bodyByteCount)])
          start += head.bodyByteCount
          owesContinue = false
          phase = .requestLine(emptyLineCount: 0)
          compact()
          return request
        }
      }
    } catch {
      phase = .failed(error)
      bytes = []
      (start, searched) = (0, 0)
      owesContinue = false
      throw error
    }
  }

  /// Whether the client is to be told now that its body is wanted; once.
  package mutating func takeContinue() -> Bool {
    defer { owesContinue = false }
    return owesContinue
  }

  /// Takes a line without its end, which is CR LF, or LF alone.
  private mutating func line(tooLong: HTTPStatus) throws(HTTPError) -> String? {
    searched = max(searched, start)
    while searched < bytes.count, bytes[searched] != 0x0A { searched += 1 }
    guard searched - start <= Self.maximumLineByteCount + 1 else {
      throw HTTPError(tooLong, "a line has at most \(Self.maximumLineByteCount) bytes")
    }
    guard searched < bytes.count else { return nil }
    var line = bytes[start..<searched]
    if line.last == 0x0D { line.removeLast() }
    guard line.count <= Self.maximumLineByteCount else {
      throw HTTPError(tooLong, "a line has at most \(Self.maximumLineByteCount) bytes")
    }
    guard line.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
      throw HTTPError(.badRequest, "a line has a control character")
    }
    start = searched + 1
    searched = start
    // Bytes above 0x7F are allowed in values; none that is used has any.
    return String(decoding: line, as: UTF8.self)
  }

  private mutating func compact() {
    bytes.removeFirst(start)
    (start, searched) = (0, 0)
  }
}
