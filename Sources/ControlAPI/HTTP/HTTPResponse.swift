/// An answer, as bytes.
package struct HTTPResponse: Equatable, Sendable {
  package var status: HTTPStatus
  /// Nil without a body.
  package var contentType: String?
  package var body: [UInt8] = []
  /// Beside those that are made of the rest.
  package var fields: [(name: String, value: String)] = []

  package init(_ status: HTTPStatus, contentType: String? = nil, body: [UInt8] = []) {
    self.status = status
    self.contentType = contentType
    self.body = body
  }

  package static func == (left: HTTPResponse, right: HTTPResponse) -> Bool {
    left.status == right.status && left.contentType == right.contentType
      && left.body == right.body
      && left.fields.map(\.name) == right.fields.map(\.name)
      && left.fields.map(\.value) == right.fields.map(\.value)
  }

  /// All bytes of it.
  ///
  /// - Parameters:
  ///   - leavesBodyOut: the answer to HEAD.
  ///   - keepsAlive: whether the connection goes on.
  package func bytes(leavesBodyOut: Bool = false, keepsAlive: Bool) -> [UInt8] {
    var fields = self.fields
    // None may have one with 204.
    if status != .noContent { fields.append(("Content-Length", "\(body.count)")) }
    return head(fields, keepsAlive: keepsAlive) + (leavesBodyOut ? [] : body)
  }

  /// The beginning of a body of unknown length.
  ///
  /// - Parameter isChunked: false for a client of HTTP/1.0, to which the end of the connection is
  ///   the body's.
  package func streamHead(isChunked: Bool) -> [UInt8] {
    let chunked = [(name: "Transfer-Encoding", value: "chunked")]
    return head(fields + (isChunked ? chunked : []), keepsAlive: false)
  }

  private func head(_ fields: [(name: String, value: String)], keepsAlive: Bool) -> [UInt8] {
    var text = "HTTP/1.1 \(status.rawValue) \(status.reason)\r\n"
    if let contentType { text += "Content-Type: \(contentType)\r\n" }
    for field in fields { text += "\(field.name): \(field.value)\r\n" }
    // The state of a machine is old at once.
    if status.isSuccess, contentType != nil { text += "Cache-Control: no-store\r\n" }
    if !keepsAlive { text += "Connection: close\r\n" }
    return Array((text + "\r\n").utf8)
  }

  /// What tells a client to send its body.
  package static let goOn = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)
  /// The end of a body in chunks.
  package static let lastChunk = Array("0\r\n\r\n".utf8)

  /// One chunk of a body; an empty one would be its end, and comes to nothing.
  package static func chunk(_ bytes: [UInt8]) -> [UInt8] {
    guard !bytes.isEmpty else { return [] }
    return Array((String(bytes.count, radix: 16) + "\r\n").utf8) + bytes + [0x0D, 0x0A]
  }
}
