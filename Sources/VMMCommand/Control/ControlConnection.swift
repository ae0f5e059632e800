internal import ControlAPI
internal import Glibc
internal import HostSystem

/// A client's connection: its socket, the session in it, and the events that wait for it. Never
/// waits. For the server's thread alone.
final class ControlConnection {
  /// How long a request may take to come, from its first byte on, and how long a client may take
  /// nothing of what it is sent.
  static let patienceNanoseconds: UInt64 = 10_000_000_000
  /// How long a client may keep a connection without asking for anything.
  static let idleNanoseconds: UInt64 = 60_000_000_000
  /// How long one that has just come, or has just been answered, is safe from making room for
  /// others. Enough for a client that has something to say; with much more, clients that say
  /// nothing would keep the others waiting.
  static let graceNanoseconds: UInt64 = 100_000_000
  /// Events that wait for a slow client.
  static let backlogLimit = 256
  /// Bytes taken at a time, so that no client keeps the others waiting.
  private static let readByteCount = 16 << 10

  /// What it waits for.
  private enum Wait {
    /// For the run: a request is carried out, or events are awaited.
    case server
    /// For the client's next request.
    case idle
    /// For the rest of a request.
    case request
    /// For the client to read.
    case reader
  }

  let id: UInt64
  private let file: FileDescriptor
  private var session = ControlSession()
  /// The last descriptor that came, for the request that it came with.
  private var sent: SentDescriptor?
  private var backlog = EventBacklog(limit: backlogLimit)
  /// What the socket does not take yet, from `sentCount` on.
  private var unsent: [UInt8] = []
  private var sentCount = 0
  /// The client sends no more; it may still read.
  private var isAtEnd = false
  private(set) var isOver = false
  private var wait = Wait.idle
  /// Since when it waits for that.
  private(set) var since: UInt64
  private var hasProgressed = false

  /// Takes over a socket that does not block.
  init(_ file: consuming FileDescriptor, id: UInt64, now: UInt64) {
    self.file = file
    self.id = id
    since = now
  }

  var descriptor: Int32 { file.rawValue }

  /// What poll(2) is to wait for. Who does not read what it gets is not read either.
  var events: Int16 {
    var events: Int32 = 0
    if !isAtEnd, !session.isEnding, !session.isFull, !hasOutput || session.isEventStream {
      events |= POLLIN
    }
    if hasOutput { events |= POLLOUT }
    return Int16(events)
  }

  private var hasOutput: Bool { sentCount < unsent.count }

  var isEventStream: Bool { session.isEventStream }

  /// When it is dropped if nothing happens; nil for never. Who is slow to read events loses them,
  /// and no more.
  var deadline: UInt64? {
    switch wait {
    case .server: nil
    case .idle: since + Self.idleNanoseconds
    case .request: since + Self.patienceNanoseconds
    case .reader: session.isEventStream ? nil : since + Self.patienceNanoseconds
    }
  }

  /// When it may be dropped to make room for another client; nil while the run is at work for it.
  var evictionTime: UInt64? {
    wait == .server || session.isEventStream ? nil : since + Self.graceNanoseconds
  }

  func drop() { isOver = true }

  // MARK: In

  func receive() {
    guard !isOver, !isAtEnd else { return }
    var bytes = [UInt8](repeating: 0, count: Self.readByteCount)
    let count = SentDescriptor.receive(&bytes, from: file.rawValue, &sent)
    let error = Errno.current
    if count > 0 {
      session.receive(Array(bytes[..<count]))
    } else if count == 0 {
      isAtEnd = true
    } else if ![EAGAIN, EINTR].contains(error.rawValue) {
      isOver = true
    }
  }

  /// Takes the next request, and sends what there is; nil if there is none.
  func next() -> ControlRequest? {
    while !isOver {
      flush()
      guard !hasOutput else { return nil }
      let request = session.next()
      if request != nil { hasProgressed = true }
      unsent += session.takeOutput()
      if request != nil || !hasOutput { return request }
    }
    return nil
  }

  /// Takes the descriptor that came with the request.
  func takeDescriptor() -> SentDescriptor? {
    defer { sent = nil }
    return sent
  }

  // MARK: Out

  /// Sends what a client is told that is not served, as far as the socket takes it at once.
  func refuse(_ reply: ControlReply) {
    // What it asked is read, or the answer could be lost with it.
    receive()
    unsent = reply.response.bytes(keepsAlive: false)
    flush()
  }

  /// - Parameter keepsAlive: false to make room for others behind the answer.
  func answer(_ reply: ControlReply, keepsAlive: Bool) {
    session.answer(reply, keepsAlive: keepsAlive)
    hasProgressed = true
    send()
  }

  func add(_ event: ControlEvent) {
    if session.isEventStream { backlog.add(event) }
  }

  func addLost(_ count: UInt64) {
    if session.isEventStream { backlog.addLost(count) }
  }

  /// Sends the events that wait, if the client has read those before.
  func sendEvents() {
    guard session.isEventStream, !hasOutput, !backlog.isEmpty else { return }
    session.add(backlog.takeLines())
    send()
  }

  /// The run ends.
  func end() {
    sendEvents()
    session.end()
    send()
  }

  private func send() {
    if unsent.count == sentCount { (unsent, sentCount) = ([], 0) }
    unsent += session.takeOutput()
    flush()
  }

  private func flush() {
    while hasOutput, !isOver {
      // SAFETY: the bytes from there on, and their number.
      let count = unsafe unsent.withUnsafeBytes { bytes in
        let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[sentCount...])
        return unsafe Glibc.send(
          file.rawValue, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
      }
      let error = Errno.current
      guard count > 0 else {
        if error == Errno(EINTR) { continue }
        if error != Errno(EAGAIN) { isOver = true }
        return
      }
      sentCount += count
      hasProgressed = true
    }
    (unsent, sentCount) = ([], 0)
  }

  // MARK: Time

  /// Notes what it waits for now, and drops it when it is time.
  func look(now: UInt64) {
    if !hasOutput, session.isEnding { isOver = true }
    // A client that has ended gets its answer first.
    if !hasOutput, isAtEnd, !session.isBusy, !session.isEventStream { isOver = true }
    let wait: Wait =
      if hasOutput {
        .reader
      } else if session.isBusy || session.isEventStream {
        .server
      } else {
        session.isWithinRequest ? .request : .idle
      }
    if wait != self.wait || hasProgressed {
      (self.wait, since) = (wait, now)
      hasProgressed = false
    }
    guard let deadline, now >= deadline, !isOver else { return }
    if wait == .request {
      session.timeOut()
      send()
    } else {
      isOver = true
    }
  }
}
