import ControlAPI
import Glibc
import HostSystem
import MachineSpecification
import Testing

@testable import VMMCommand

/// Asks over a control socket, as `vmm-run ctl` does.
enum ControlAsker {
  /// The whole answer.
  static func ask(
    _ path: String, _ route: ControlRoute, _ body: JSONValue? = nil
  ) throws -> (status: Int, body: [UInt8]) {
    var client = try ControlClient(path)
    try client.send(CtlOptions.Request(route: route, body: body))
    var answer: [UInt8] = []
    while try client.receive(60_000) { answer += client.takeBody() }
    answer += client.takeBody()
    return (client.status?.rawValue ?? 0, answer)
  }

  /// A JSON answer, checked against its description.
  static func value(
    _ path: String, _ route: ControlRoute, _ body: JSONValue? = nil
  ) throws -> JSONValue {
    let (status, bytes) = try ask(path, route, body)
    #expect(status == 200, "\(route): \(String(decoding: bytes, as: UTF8.self))")
    let value = try JSONParser.parse(bytes)
    let schema = try #require(route.reply?.schema)
    #expect(schema.problems(of: value) == [])
    return value
  }

  /// A refusal: its status and its message.
  static func refusal(
    _ path: String, _ route: ControlRoute, _ body: JSONValue? = nil
  ) throws -> (Int, String) {
    let (status, bytes) = try ask(path, route, body)
    let value = try JSONParser.parse(bytes)
    #expect(ControlSchema.fault.problems(of: value) == [])
    guard case .text(let message)? = value["fault_message"] else { return (status, "") }
    return (status, message)
  }
}

/// A client that does what it likes. Nothing here waits for the server to take what is sent.
final class RawClient: Sendable {
  private let file: FileDescriptor

  init(_ path: String) throws {
    file = try UnixSocket.connected(to: Array(path.utf8))
  }

  /// - Returns: how many bytes the kernel took; -1 for none.
  @discardableResult
  func send(_ bytes: [UInt8]) -> Int {
    // SAFETY: the bytes, and their number.
    unsafe bytes.withUnsafeBytes {
      unsafe Glibc.send(
        file.rawValue, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
    }
  }

  func send(_ text: String) { send(Array(text.utf8)) }

  /// Waits for some bytes; empty at the end of the connection.
  func read() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    // SAFETY: the buffer, and its length.
    let count = unsafe bytes.withUnsafeMutableBytes {
      unsafe recv(file.rawValue, $0.baseAddress, $0.count, 0)
    }
    return Array(bytes.prefix(max(count, 0)))
  }

  /// Reads until `end` was there, or the connection is over.
  func read(to end: String) -> String {
    var bytes: [UInt8] = []
    while true {
      let more = read()
      bytes += more
      let text = String(decoding: bytes, as: UTF8.self)
      if more.isEmpty || text.contains(end) { return text }
    }
  }
}
