package import MachineSpecification

/// What a request comes to.
package struct ControlReply: Equatable, Sendable {
  static let json = "application/json"
  /// The text format of Prometheus.
  static let metrics = "text/plain; version=0.0.4; charset=utf-8"
  static let png = "image/png"
  /// JSON, one value a line.
  static let lines = "application/x-ndjson"

  package var response: HTTPResponse
  /// Whether events follow in place of a body.
  package var isStream = false

  private init(_ response: HTTPResponse) {
    self.response = response
  }

  /// It is done, and there is nothing to say.
  package static let done = ControlReply(HTTPResponse(.noContent))

  package static func value(_ value: JSONValue) -> ControlReply {
    ControlReply(
      HTTPResponse(.ok, contentType: json, body: Array((value.compactText + "\n").utf8)))
  }

  package static func metrics(_ text: String) -> ControlReply {
    ControlReply(HTTPResponse(.ok, contentType: metrics, body: Array(text.utf8)))
  }

  package static func picture(_ bytes: [UInt8]) -> ControlReply {
    ControlReply(HTTPResponse(.ok, contentType: png, body: bytes))
  }

  /// Events follow.
  package static var events: ControlReply {
    var reply = ControlReply(HTTPResponse(.ok, contentType: lines))
    reply.isStream = true
    return reply
  }

  /// It is not done; the member is named as Firecracker names it.
  package static func failure(_ error: HTTPError) -> ControlReply {
    let value = JSONValue.members([("fault_message", .text(error.description))])
    return ControlReply(
      HTTPResponse(
        error.status, contentType: json, body: Array((value.compactText + "\n").utf8)))
  }

  package static func failure(_ status: HTTPStatus, _ message: String) -> ControlReply {
    failure(HTTPError(status, message))
  }

  /// What may be asked.
  static func allow(_ methods: String) -> ControlReply {
    var reply = done
    reply.response.fields = [("Allow", methods)]
    return reply
  }
}

extension JSONValue {
  /// An object.
  package static func members(_ members: [(String, JSONValue)]) -> JSONValue {
    .object(members.map { Member(name: $0.0, value: $0.1) })
  }

  /// A count; one that JSON's readers could not take is the largest that they can.
  package static func count(_ count: UInt64) -> JSONValue {
    .integer(Int64(clamping: count))
  }
}
