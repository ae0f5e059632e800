/// A status code of HTTP (RFC 9110 §15).
package struct HTTPStatus: RawRepresentable, Hashable, Sendable {
  package let rawValue: Int

  package init(rawValue: Int) {
    self.rawValue = rawValue
  }

  package static let ok = HTTPStatus(rawValue: 200)
  package static let noContent = HTTPStatus(rawValue: 204)
  package static let badRequest = HTTPStatus(rawValue: 400)
  package static let forbidden = HTTPStatus(rawValue: 403)
  package static let notFound = HTTPStatus(rawValue: 404)
  package static let methodNotAllowed = HTTPStatus(rawValue: 405)
  package static let requestTimeout = HTTPStatus(rawValue: 408)
  package static let conflict = HTTPStatus(rawValue: 409)
  package static let lengthRequired = HTTPStatus(rawValue: 411)
  package static let contentTooLarge = HTTPStatus(rawValue: 413)
  package static let targetTooLong = HTTPStatus(rawValue: 414)
  package static let expectationFailed = HTTPStatus(rawValue: 417)
  package static let headersTooLarge = HTTPStatus(rawValue: 431)
  package static let internalError = HTTPStatus(rawValue: 500)
  package static let notImplemented = HTTPStatus(rawValue: 501)
  package static let unavailable = HTTPStatus(rawValue: 503)
  package static let versionNotSupported = HTTPStatus(rawValue: 505)

  package var isSuccess: Bool { (200..<300).contains(rawValue) }

  /// What stands behind the code. No client goes by it.
  package var reason: String {
    switch self {
    case .ok: "OK"
    case .noContent: "No Content"
    case .badRequest: "Bad Request"
    case .forbidden: "Forbidden"
    case .notFound: "Not Found"
    case .methodNotAllowed: "Method Not Allowed"
    case .requestTimeout: "Request Timeout"
    case .conflict: "Conflict"
    case .lengthRequired: "Length Required"
    case .contentTooLarge: "Content Too Large"
    case .targetTooLong: "URI Too Long"
    case .expectationFailed: "Expectation Failed"
    case .headersTooLarge: "Request Header Fields Too Large"
    case .internalError: "Internal Server Error"
    case .notImplemented: "Not Implemented"
    case .unavailable: "Service Unavailable"
    case .versionNotSupported: "HTTP Version Not Supported"
    default: "Unknown"
    }
  }
}

/// Why a request is not carried out: what its client is answered.
package struct HTTPError: Error, Equatable, CustomStringConvertible {
  package let status: HTTPStatus
  /// What was wrong, and what to do.
  package let description: String

  package init(_ status: HTTPStatus, _ description: String) {
    self.status = status
    self.description = description
  }
}
