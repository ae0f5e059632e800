internal import DeviceKit
internal import Glibc
internal import HostSystem

/// A viewer's connection: its socket, the session in it, and what its user holds down. Never waits.
/// For the server's thread alone.
final class ViewerConnection {
  /// How long a viewer has to be let in.
  private static let patienceNanoseconds: UInt64 = 30_000_000_000
  /// How long a browser's request may take. A viewer that waits for the server is greeted then.
  private static let requestNanoseconds: UInt64 = 200_000_000
  /// Bytes taken at a time, so that no viewer keeps the others waiting.
  private static let readByteCount = 16 << 10

  private enum Phase {
    /// Not greeted: a browser speaks first.
    case silent(since: UInt64)
    case plain
    case webSocket(WebSocketStream)
  }

  private let file: FileDescriptor
  private let trustsAllOrigins: Bool
  private let deadline: UInt64
  private var phase: Phase
  private var session: RFBSession
  /// What the socket does not take yet.
  private var unsent: [UInt8] = []
  private var keys: KeyTranslator
  private var pointer = PointerTranslator()
  /// Nothing is read any more; it closes when all is sent.
  private var isEnding = false
  private(set) var isOver = false

  /// Takes over a socket that does not block.
  init(
    _ file: consuming FileDescriptor, _ settings: RFBSession.Settings, layout: KeyboardLayout,
    width: Int, height: Int, now: UInt64
  ) {
    self.file = file
    session = RFBSession(settings, width: width, height: height)
    trustsAllOrigins = settings.password != nil
    keys = KeyTranslator(layout: layout)
    phase = .silent(since: now)
    deadline = now + Self.patienceNanoseconds
  }

  var descriptor: Int32 { file.rawValue }

  /// Whether it was let in.
  var isRunning: Bool { session.isRunning && !isEnding && !isOver }

  /// Whether an update goes out as soon as there is something to show.
  var isWaiting: Bool { isRunning && unsent.isEmpty && session.isWaiting }

  /// What poll(2) is to wait for. One that does not read what it gets is not read either.
  var events: Int16 {
    var events: Int32 = 0
    if !isEnding, unsent.count < RFBSession.outputLimit, !session.isFull { events |= POLLIN }
    if !unsent.isEmpty { events |= POLLOUT }
    return Int16(events)
  }

  /// When it has to be looked at whatever comes; nil for never.
  var wakeTime: UInt64? {
    if case .silent(let since) = phase { return since + Self.requestNanoseconds }
    return isRunning ? nil : deadline
  }

  /// Greets it, or closes it, when it is time.
  func look(now: UInt64) {
    if case .silent(let since) = phase, now >= since + Self.requestNanoseconds {
      phase = .plain
      flush()
    }
    if !isRunning, now >= deadline { isOver = true }
  }

  /// Whether it was closed for a wrong password.
  var wasRefused: Bool { session.wasRefused }

  /// The connection broke.
  func end() { isOver = true }

  /// Reads what is there.
  ///
  /// - Returns: what the user did.
  func receive() -> [ViewerEvent] {
    guard !isEnding, !isOver else { return [] }
    var bytes = [UInt8](repeating: 0, count: Self.readByteCount)
    // SAFETY: the buffer, and its length.
    let count = unsafe bytes.withUnsafeMutableBytes {
      unsafe recv(file.rawValue, $0.baseAddress, $0.count, 0)
    }
    let error = Errno.current
    guard count > 0 else {
      isOver = isOver || count == 0 || ![EAGAIN, EINTR].contains(error.rawValue)
      return []
    }
    take(Array(bytes[..<count]))
    if session.end != nil { isEnding = true }
    flush()
    return session.takeEvents()
  }

  private func take(_ bytes: [UInt8]) {
    if case .silent = phase {
      phase =
        bytes[0] == UInt8(ascii: "G")
        ? .webSocket(WebSocketStream(trustsAllOrigins: trustsAllOrigins)) : .plain
    }
    guard case .webSocket(var stream) = phase else { return session.receive(bytes) }
    let received = stream.receive(bytes)
    phase = .webSocket(stream)
    unsent += received.answer
    if received.isOver { isEnding = true }
    session.receive(received.stream)
  }

  // MARK: Updates

  func setLights(_ lights: UInt8) { session.setLights(lights) }

  func setName(_ name: String) { session.setName(name) }

  func take(_ change: SharedPicture.Change, of picture: SharedPicture) {
    session.take(change, of: picture, isReady: isWaiting)
  }

  /// Makes and sends as much as the socket takes.
  ///
  /// - Returns: what the user did that had to wait for the end of an update.
  func update(from picture: SharedPicture) -> [ViewerEvent] {
    flush()
    while isRunning, unsent.isEmpty {
      session.update(from: picture)
      if session.end != nil { isEnding = true }
      guard session.hasOutput else { break }
      flush()
    }
    return session.takeEvents()
  }

  /// Sends what there is.
  private func flush() {
    switch phase {
    case .silent: return
    case .plain: unsent += session.takeOutput()
    case .webSocket(let stream):
      if stream.isOpen {
        let output = session.takeOutput()
        if !output.isEmpty { unsent += WebSocketStream.frame(output) }
      }
    }
    while !unsent.isEmpty {
      // SAFETY: the bytes, and their number.
      let count = unsafe unsent.withUnsafeBytes {
        unsafe send(file.rawValue, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      let error = Errno.current
      guard count > 0 else {
        if error == Errno(EINTR) { continue }
        if error != Errno(EAGAIN) { isOver = true }
        break
      }
      unsent.removeFirst(count)
    }
    if isEnding, unsent.isEmpty { isOver = true }
  }

  // MARK: Input

  /// Hands what the user did to the guest's devices.
  ///
  /// - Parameter held: what all viewers hold down.
  func deliver(
    _ events: [ViewerEvent], _ machine: ShownMachine, _ held: inout HeldInput, width: Int,
    height: Int
  ) {
    for event in events {
      switch event {
      case .key(let keysym, let scanCode, let isDown):
        let actions = keys.actions(
          keysym: keysym, scanCode: scanCode, isDown: isDown,
          lights: machine.keyboard?.lights ?? [])
        for action in actions where held.note(action, of: ObjectIdentifier(self)) {
          machine.keyboard?.setKey(action.key, isDown: action.isDown)
        }
      case .pointer(let x, let y, let buttons):
        let turns = pointer.take(x: x, y: y, buttons: buttons, width: width, height: height)
        if let state = pointer.state {
          machine.pointer?.setPointer(held.note(state, of: ObjectIdentifier(self)))
        }
        if turns != (0, 0) {
          machine.pointer?.turnWheel(vertical: turns.vertical, horizontal: turns.horizontal)
        }
      }
    }
  }

  /// Releases what the user held down, unless others hold it.
  func releaseAll(_ machine: ShownMachine, _ held: inout HeldInput) {
    for action in keys.releaseAll() where held.note(action, of: ObjectIdentifier(self)) {
      machine.keyboard?.setKey(action.key, isDown: action.isDown)
    }
    if let state = pointer.releaseAll() {
      machine.pointer?.setPointer(held.note(state, of: ObjectIdentifier(self)))
    }
    held.remove(ObjectIdentifier(self))
  }
}
