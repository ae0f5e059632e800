internal import Glibc
internal import HostSystem

/// One side of the connection: frames over a stream socket that never blocks a thread for longer
/// than it may. For one thread at a time.
///
/// The socket was given from outside, and may be anything: what a call says of it is an error.
final class MigrationChannel {
  /// How long the other side may do nothing.
  static let patienceSeconds = 30
  /// How often it is asked whether to go on.
  private static let sliceMilliseconds: Int32 = 100

  private let descriptor: Int32
  private let cancellation: Event
  private let mayGoOn: () -> Bool
  /// There is no way back: nobody can give up any more.
  var isCommitted = false
  private(set) var sentSum = MigrationSum()
  private(set) var receivedSum = MigrationSum()
  /// All that was sent, or received.
  private(set) var byteCount: UInt64 = 0

  /// - Parameters:
  ///   - descriptor: the socket, open as long as self is there.
  ///   - goesOn: false gives up.
  init(
    _ descriptor: Int32, goesOn: @escaping () -> Bool = { true }
  ) throws(MigrationError) {
    self.descriptor = descriptor
    mayGoOn = goesOn
    do throws(Errno) {
      // Never raised: it lends its wait.
      cancellation = try Event()
    } catch {
      throw .system(operation: "eventfd", error)
    }
  }

  private func checkGoesOn() throws(MigrationError) {
    if !isCommitted, !mayGoOn() { throw .cancelled }
  }

  /// Ends the connection; the other side sees that at once.
  func close() { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }

  // MARK: Out

  func sendSignature() throws(MigrationError) {
    try send(MigrationFrame.signature, count: MigrationFrame.signature.count)
  }

  /// Sends a frame.
  ///
  /// - Parameter count: how much of the payload; nil for all.
  func send(
    _ kind: MigrationFrame.Kind, argument: UInt64 = 0, _ payload: [UInt8] = [], count: Int? = nil
  ) throws(MigrationError) {
    let count = count ?? payload.count
    // SAFETY: the bytes are lent for the call.
    let frame = unsafe payload.withUnsafeBytes {
      unsafe MigrationFrame(
        kind, argument: argument, payload: UnsafeRawBufferPointer(rebasing: $0[..<count]))
    }
    sentSum.add(frame)
    try send(frame.header, count: MigrationFrame.headerByteCount)
    try send(payload, count: count)
  }

  private func send(_ bytes: [UInt8], count byteCount: Int) throws(MigrationError) {
    var sent = 0
    var clock = Patience()
    while sent < byteCount {
      try checkGoesOn()
      // SAFETY: the bytes from there on, and their number.
      let count = unsafe bytes.withUnsafeBytes { all in
        let rest = unsafe UnsafeRawBufferPointer(rebasing: all[sent..<byteCount])
        return unsafe Glibc.send(
          descriptor, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
      }
      let error = Errno.current
      if count > 0 {
        sent += count
        self.byteCount += UInt64(count)
        clock = Patience()
        continue
      }
      switch error.rawValue {
      case EINTR: continue
      case EAGAIN:
        let found = cancellation.wait(
          for: POLLOUT | POLLIN, on: descriptor, timeoutMilliseconds: Self.sliceMilliseconds)
        // The other side has nothing to say now but why it ends.
        if found.has(POLLIN), !found.has(POLLOUT) { throw farewell() }
        try clock.check()
      case EPIPE, ECONNRESET: throw farewell()
      default: throw .system(operation: "send", error)
      }
    }
  }

  /// What the other side has said at its end.
  private func farewell() -> MigrationError {
    do throws(MigrationError) {
      let frame = try receive(patienceSeconds: 1).frame
      return .format("kind \(frame.kind.rawValue) before its turn")
    } catch {
      return error
    }
  }

  // MARK: In

  func receiveSignature() throws(MigrationError) {
    let bytes = try receive(
      count: MigrationFrame.signature.count, patienceSeconds: Self.patienceSeconds)
    guard bytes == MigrationFrame.signature else {
      throw .format("it begins with something else, or is of another version")
    }
  }

  /// The next frame. A refusal is thrown.
  func receive(
    patienceSeconds: Int = patienceSeconds
  ) throws(MigrationError) -> (frame: MigrationFrame, payload: [UInt8]) {
    let header = try receive(
      count: MigrationFrame.headerByteCount, patienceSeconds: patienceSeconds)
    let frame = try MigrationFrame(decoding: header)
    let payload = try receive(count: frame.byteCount, patienceSeconds: patienceSeconds)
    // SAFETY: the bytes are lent for the call.
    let checksum = unsafe payload.withUnsafeBytes { unsafe frame.checksum(of: $0) }
    guard checksum == frame.checksum else { throw .format("a frame is damaged") }
    guard frame.kind != .refused else { throw .refused(Self.text(payload)) }
    receivedSum.add(frame)
    return (frame, payload)
  }

  /// A frame of a kind and no other.
  @discardableResult
  func receive(
    _ kind: MigrationFrame.Kind, patienceSeconds: Int = patienceSeconds
  ) throws(MigrationError) -> [UInt8] {
    let (frame, payload) = try receive(patienceSeconds: patienceSeconds)
    guard frame.kind == kind else {
      throw .format("kind \(frame.kind.rawValue) in place of \(kind.rawValue)")
    }
    return payload
  }

  private func receive(
    count: Int, patienceSeconds: Int
  ) throws(MigrationError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var received = 0
    var clock = Patience(seconds: patienceSeconds)
    while received < count {
      try checkGoesOn()
      // SAFETY: the rest of the array, and its length.
      let result = unsafe bytes.withUnsafeMutableBytes { all in
        let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: all[received...])
        return unsafe recv(descriptor, rest.baseAddress, rest.count, Int32(MSG_DONTWAIT))
      }
      let error = Errno.current
      if result > 0 {
        received += result
        byteCount += UInt64(result)
        clock = Patience(seconds: patienceSeconds)
        continue
      }
      guard result != 0 else { throw .closed }
      switch error.rawValue {
      case EINTR: continue
      case EAGAIN:
        _ = cancellation.wait(
          for: POLLIN, on: descriptor, timeoutMilliseconds: Self.sliceMilliseconds)
        try clock.check()
      case ECONNRESET: throw .closed
      default: throw .system(operation: "recv", error)
      }
    }
    return bytes
  }

  /// A line of somebody else's: one line, of a bounded length, without control characters.
  static func text(_ bytes: [UInt8]) -> String {
    let scalars = String(decoding: bytes.prefix(1024), as: UTF8.self).unicodeScalars
      .map { $0.properties.generalCategory == .control ? " " : Character($0) }
    return String(scalars)
  }

  /// Tells the other side why it ends, and waits a moment until it has read that.
  func refuse(_ text: String) {
    try? send(.refused, Array(text.utf8.prefix(1024)))
    // What it sends is taken, or the connection would be reset, and the reason lost.
    _ = shutdown(descriptor, Int32(SHUT_WR))
    let deadline = ContinuousClock.now + .seconds(2)
    var scratch = [UInt8](repeating: 0, count: 64 << 10)
    while ContinuousClock.now < deadline {
      // SAFETY: the array, and its length.
      let result = unsafe scratch.withUnsafeMutableBytes {
        unsafe recv(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
      }
      if result > 0 { continue }
      guard result < 0, errno == EAGAIN || errno == EINTR else { return }
      _ = cancellation.wait(for: POLLIN, on: descriptor, timeoutMilliseconds: 100)
    }
  }
}

/// How long nothing has happened.
private struct Patience {
  private let seconds: Int
  private let deadline: ContinuousClock.Instant

  init(seconds: Int = MigrationChannel.patienceSeconds) {
    self.seconds = seconds
    deadline = .now + .seconds(seconds)
  }

  func check() throws(MigrationError) {
    if ContinuousClock.now >= deadline { throw .timedOut(seconds: seconds) }
  }
}
