internal import ControlAPI
internal import Glibc
internal import HostSystem
internal import MachineSpecification

/// The client's end of a control socket: one request, and its answer as it comes.
struct ControlClient: ~Copyable {
  /// Why there is no answer.
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  private let path: String
  private let socket: FileDescriptor
  private var parser = HTTPResponseParser()

  init(_ path: String) throws(Failure) {
    self.path = path
    do throws(Errno) {
      socket = try UnixSocket.connected(to: ArgumentText.bytes(of: path))
    } catch {
      let cure =
        switch error.rawValue {
        case ENOENT, ECONNREFUSED: "no machine listens there; start one with --control unix:PATH"
        case EACCES: "only the user that started the machine, and root, may connect"
        default: "PATH is that of --control unix:PATH"
        }
      throw Failure(
        description: "cannot connect to \(QuotedText(path)): \(error); \(cure)")
    }
  }

  var status: HTTPStatus? { parser.status }

  /// Takes what came of the answer's body since the last time.
  mutating func takeBody() -> [UInt8] { parser.takeBody() }

  /// - Parameter descriptor: one that goes with it.
  func send(_ request: CtlOptions.Request, with descriptor: Int32? = nil) throws(Failure) {
    let route = request.route
    var text = "\(route.method.rawValue) \(route.path) HTTP/1.1\r\nHost: localhost\r\n"
    let body = request.body.map { Array($0.compactText.utf8) } ?? []
    if !body.isEmpty {
      text += "Content-Type: application/json\r\nContent-Length: \(body.count)\r\n"
    }
    let bytes = Array((text + "Connection: close\r\n\r\n").utf8) + body
    var sent = 0
    if let descriptor {
      // With the first byte, so that it is there before the request is whole.
      sent = SentDescriptor.send(descriptor, with: Array(bytes.prefix(1)), over: socket.rawValue)
      guard sent == 1 else { throw failure("send a socket to", Errno.current) }
    }
    while sent < bytes.count {
      // SAFETY: the bytes from there on, and their number.
      let count = unsafe bytes.withUnsafeBytes { all in
        let rest = unsafe UnsafeRawBufferPointer(rebasing: all[sent...])
        return unsafe Glibc.send(
          socket.rawValue, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
      }
      let error = Errno.current
      // Who does not want the request has perhaps said why.
      if count < 0, error == Errno(EPIPE) { return }
      if count < 0, error != Errno(EINTR) { throw failure("send to", error) }
      sent += max(count, 0)
    }
  }

  /// Waits for more of the answer.
  ///
  /// - Parameter milliseconds: how long; -1 for as long as it takes.
  /// - Returns: false when it was whole before.
  mutating func receive(_ milliseconds: Int32) throws(Failure) -> Bool {
    guard !parser.isComplete else { return false }
    var file = pollfd(fd: socket.rawValue, events: Int16(POLLIN), revents: 0)
    // SAFETY: the structure lives for the call.
    let ready = unsafe poll(&file, 1, milliseconds)
    let pollError = Errno.current
    if ready < 0, pollError == Errno(EINTR) { return true }
    guard ready > 0 else {
      throw Failure(
        description: "\(QuotedText(path)) does not answer; what listens there is no vmm-run, or"
          + " it hangs")
    }
    var bytes = [UInt8](repeating: 0, count: 64 << 10)
    // SAFETY: the buffer, and its length.
    let count = unsafe bytes.withUnsafeMutableBytes {
      unsafe recv(socket.rawValue, $0.baseAddress, $0.count, 0)
    }
    let error = Errno.current
    if count < 0 {
      if error == Errno(EINTR) { return true }
      throw failure("read from", error)
    }
    do throws(HTTPResponseParser.Failure) {
      try parser.receive(Array(bytes[..<count]))
    } catch {
      throw Failure(description: "\(QuotedText(path)): \(error)")
    }
    return true
  }

  private func failure(_ attempt: String, _ error: Errno) -> Failure {
    Failure(description: "cannot \(attempt) \(QuotedText(path)): \(error)")
  }
}
