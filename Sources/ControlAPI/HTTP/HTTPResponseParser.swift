/// The client's end: takes one answer out of a stream of bytes, however it is cut. Its server is
/// trusted little more than a server trusts its clients: all that it keeps is bounded.
package struct HTTPResponseParser: Sendable {
  /// Of the status line and the header lines.
  private static let maximumHeadByteCount = 16 << 10
  /// A picture of the largest display, and more.
  private static let maximumBodyByteCount = 256 << 20

  /// An answer cannot be understood.
  package struct Failure: Error, Equatable, CustomStringConvertible {
    package let description: String
  }

  private enum Length: Equatable {
    case known(Int)
    case chunks
    /// To the end of the connection.
    case open
  }

  package private(set) var status: HTTPStatus?
  private var length = Length.open
  private var bytes: [UInt8] = []
  private var body: [UInt8] = []
  private var bodyByteCount = 0
  /// Whether the answer is whole.
  package private(set) var isComplete = false

  package init() {}

  /// Adds what came; nothing at the end of the connection.
  package mutating func receive(_ received: [UInt8]) throws(Failure) {
    bytes += received
    if status == nil, try !takeHead() {
      if received.isEmpty { throw Failure(description: "the connection ended before the answer") }
      return
    }
    switch length {
    case .known(let count):
      take(min(bytes.count, count - bodyByteCount))
      isComplete = bodyByteCount == count
    case .chunks: try takeChunks()
    case .open:
      take(bytes.count)
      isComplete = received.isEmpty
    }
    guard bodyByteCount <= Self.maximumBodyByteCount || body.isEmpty else {
      throw Failure(description: "the answer is too long")
    }
    if received.isEmpty, !isComplete {
      throw Failure(description: "the connection ended within the answer")
    }
  }

  /// Takes what came of the body since the last time.
  package mutating func takeBody() -> [UInt8] {
    defer { body = [] }
    return body
  }

  private mutating func take(_ count: Int) {
    body += bytes.prefix(count)
    bytes.removeFirst(count)
    bodyByteCount += count
  }

  /// - Returns: whether it is whole.
  private mutating func takeHead() throws(Failure) -> Bool {
    let end = Array("\r\n\r\n".utf8)
    while true {
      guard let place = Self.find(end, in: bytes.prefix(Self.maximumHeadByteCount)) else {
        guard bytes.count < Self.maximumHeadByteCount else {
          throw Failure(description: "the answer does not begin as one of HTTP")
        }
        return false
      }
      let lines = String(decoding: bytes[..<place], as: UTF8.self).split(separator: "\r\n")
      bytes.removeFirst(place + end.count)
      let words = lines.first?.split(separator: " ", maxSplits: 2) ?? []
      guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let code = Int(words[1]),
        (100..<600).contains(code)
      else { throw Failure(description: "the answer does not begin as one of HTTP") }
      // What comes before the answer.
      if code < 200 { continue }
      status = HTTPStatus(rawValue: code)
      length = code == 204 ? .known(0) : try Self.length(Array(lines.dropFirst()))
      return true
    }
  }

  private static func length(_ lines: [Substring]) throws(Failure) -> Length {
    var length = Length.open
    for line in lines {
      let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2 else { throw Failure(description: "a header line has no colon") }
      let value = HTTPText.trimmed(parts[1])
      switch parts[0].lowercased() {
      case "transfer-encoding" where value.lowercased() == "chunked": return .chunks
      case "content-length":
        guard let count = Int(value), (0...maximumBodyByteCount).contains(count) else {
          throw Failure(description: "the answer's length is no number that fits")
        }
        length = .known(count)
      default: break
      }
    }
    return length
  }

  private mutating func takeChunks() throws(Failure) {
    let end = Array("\r\n".utf8)
    while !isComplete, let place = Self.find(end, in: bytes.prefix(32)) {
      let digits = String(decoding: bytes[..<place], as: UTF8.self)
      guard let count = Int(digits, radix: 16), (0...Self.maximumBodyByteCount).contains(count)
      else { throw Failure(description: "a chunk's length is no number that fits") }
      guard bytes.count >= place + count + 2 * end.count else { return }
      bytes.removeFirst(place + end.count)
      take(count)
      bytes.removeFirst(end.count)
      isComplete = count == 0
    }
    if !isComplete, bytes.count >= 32, Self.find(end, in: bytes.prefix(32)) == nil {
      throw Failure(description: "a chunk's length is no number that fits")
    }
  }

  private static func find(_ pattern: [UInt8], in bytes: ArraySlice<UInt8>) -> Int? {
    guard bytes.count >= pattern.count else { return nil }
    return (bytes.startIndex...(bytes.endIndex - pattern.count)).first { place in
      bytes[place..<(place + pattern.count)].elementsEqual(pattern)
    }
  }
}
