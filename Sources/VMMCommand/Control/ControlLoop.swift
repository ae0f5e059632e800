internal import ControlAPI
internal import Glibc
internal import HostSystem
internal import MachineSpecification

/// The server's thread: waits for clients, reads what they ask, and sends what they get.
final class ControlLoop {
  /// How long nothing is accepted after the host could not.
  private static let acceptPauseNanoseconds: UInt64 = 1_000_000_000
  /// How long a new client waits, where all others are at work, before it is told so.
  private static let fullNanoseconds: UInt64 = 2_000_000_000
  /// How long clients have at the end to take what is left.
  private static let endNanoseconds: UInt64 = 1_000_000_000

  private let core: ControlCore
  private let lanes: ControlLanes
  private var connections: [ControlConnection] = []
  private var nextID: UInt64 = 0
  private var acceptsFrom: UInt64 = 0
  /// Since when nobody can make room; nil while somebody can.
  private var fullSince: UInt64?
  /// Whether others wait for room: each client gets one answer then, and leaves.
  private var isPressed = false
  /// When the thread ends, whatever is left to send; nil while the run goes on.
  private var end: UInt64?

  init(_ core: ControlCore, _ lanes: ControlLanes) {
    self.core = core
    self.lanes = lanes
  }

  func run() {
    while true {
      let turn = core.takeTurn()
      isPressed = connections.count >= ControlServer.clientLimit && listenerIsReadable
      for (id, reply) in turn.finished {
        connections.first { $0.id == id }?.answer(reply, keepsAlive: !isPressed)
      }
      spread()
      let now = HostClock.monotonicNanoseconds()
      if turn.isStopped, end == nil {
        end = now + Self.endNanoseconds
        for connection in connections { connection.end() }
      }
      for connection in connections {
        if end == nil { serve(connection) } else { _ = connection.next() }
        connection.look(now: now)
      }
      connections.removeAll(where: \.isOver)
      if let end, connections.isEmpty || now >= end { return }
      wait(now: now)
    }
  }

  /// Gives events to those who asked for them.
  private func spread() {
    let (events, lostCount) = core.run.events.take()
    guard !events.isEmpty || lostCount > 0 else { return }
    for connection in connections where connection.isEventStream {
      if lostCount > 0 { connection.addLost(lostCount) }
      for event in events { connection.add(event) }
    }
  }

  private func serve(_ connection: ControlConnection) {
    while let request = connection.next() {
      if let reply = answer(request, of: connection) {
        connection.answer(reply, keepsAlive: !isPressed)
        if reply.isStream { subscribe(connection) }
      }
    }
    connection.sendEvents()
  }

  /// Nil for what a worker answers later.
  private func answer(_ request: ControlRequest, of connection: ControlConnection) -> ControlReply?
  {
    switch request {
    case .ping: return .value(core.run.info.ping)
    case .info: return .value(core.run.info.value)
    case .events:
      guard connections.count(where: \.isEventStream) < ControlServer.streamLimit else {
        return .failure(
          .unavailable, "\(ControlServer.streamLimit) clients get events already; close one")
      }
      return .events
    default:
      let sent = connection.takeDescriptor()
      if case .migrate = request, core.run.info.migration != nil {
        return .failure(.conflict, "the machine moves already")
      }
      return lanes.add(request, of: connection.id, sent)
        ? nil : .failure(.unavailable, "too many requests wait; ask again later")
    }
  }

  /// The first line says what the machine is doing, and that nothing is missing from here on.
  private func subscribe(_ connection: ControlConnection) {
    let event = ControlEvent(.subscribed, [("state", .text(core.run.info.state.rawValue))])
    connection.add(core.run.events.stamped(event))
  }

  // MARK: Waiting

  private func wait(now: UInt64) {
    let acceptTime = max(acceptsFrom, roomTime(now: now))
    let accepts = end == nil && now >= acceptTime
    var files = [
      pollfd(fd: core.descriptor, events: Int16(POLLIN), revents: 0),
      pollfd(fd: accepts ? core.listener.descriptor : -1, events: Int16(POLLIN), revents: 0),
    ]
    files += connections.map { pollfd(fd: $0.descriptor, events: $0.events, revents: 0) }
    var times = connections.compactMap(\.deadline)
    if let end {
      times.append(end)
    } else if !accepts {
      times.append(acceptTime)
    }
    // An error leaves the answers as they were: none.
    guard PollSet.wait(&files, until: times.min(), now: now) > 0 else { return }
    for (connection, file) in zip(connections, files.dropFirst(2)) where file.revents != 0 {
      if file.revents & Int16(POLLIN) != 0 {
        connection.receive()
      } else if file.revents & Int16(POLLERR | POLLHUP | POLLNVAL) != 0 {
        connection.drop()
      }
    }
    if files[1].revents != 0 { accept() }
  }

  // MARK: New clients

  /// Whether a client waits to be accepted.
  private var listenerIsReadable: Bool {
    var files = [pollfd(fd: core.listener.descriptor, events: Int16(POLLIN), revents: 0)]
    return PollSet.wait(&files, until: 0, now: 0) > 0
  }

  /// When another client is accepted, perhaps in place of one that is waited for; others wait in
  /// the listener's queue until then. Where nobody can make room for long they are told so.
  private func roomTime(now: UInt64) -> UInt64 {
    guard connections.count >= ControlServer.clientLimit else {
      fullSince = nil
      return now
    }
    if let time = connections.compactMap(\.evictionTime).min() {
      fullSince = nil
      return time
    }
    let since = fullSince ?? now
    fullSince = since
    return since + Self.fullNanoseconds
  }

  private func accept() {
    while true {
      let now = HostClock.monotonicNanoseconds()
      guard now >= roomTime(now: now) else { return }
      let file: FileDescriptor
      do throws(Errno) {
        file = try core.listener.accept()
      } catch {
        if error == Errno(ECONNABORTED) || error == Errno(EINTR) { continue }
        if error != Errno(EAGAIN) { acceptsFrom = now + Self.acceptPauseNanoseconds }
        return
      }
      nextID += 1
      let isOurs = file.peerUserID.map { $0 == core.userID || $0 == 0 } ?? false
      let connection = ControlConnection(file, id: nextID, now: now)
      guard isOurs else {
        connection.refuse(
          .failure(.forbidden, "only the user that started vmm-run, and root, are answered"))
        continue
      }
      guard makeRoom() else {
        connection.refuse(
          .failure(.unavailable, "\(ControlServer.clientLimit) clients are at work; ask again"))
        continue
      }
      connections.append(connection)
      // Most clients have asked by now.
      connection.receive()
      serve(connection)
      connection.look(now: now)
    }
  }

  /// Drops the client that is waited for the longest, if there are too many.
  private func makeRoom() -> Bool {
    guard connections.count >= ControlServer.clientLimit else { return true }
    let waiting = connections.indices.filter { connections[$0].evictionTime != nil }
    guard let oldest = waiting.min(by: { connections[$0].since < connections[$1].since }) else {
      return false
    }
    connections.remove(at: oldest)
    return true
  }
}
