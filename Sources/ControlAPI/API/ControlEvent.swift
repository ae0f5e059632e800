package import MachineSpecification

/// Something that happened to a machine.
package struct ControlEvent: Equatable, Sendable {
  /// Its name, as it stands in a stream.
  package enum Name: String, CaseIterable, Sendable {
    /// A machine runs: the first one, or the one that came after a reset.
    case booted
    case paused
    case resumed
    /// It was saved, and goes on or stays paused.
    case saved
    /// It begins to move to another process.
    case migrationStarted = "migration-started"
    /// Memory is gone through once more.
    case migrationRound = "migration-round"
    /// It did not move, and is where it was.
    case migrationFailed = "migration-failed"
    /// It goes on elsewhere, and the run ends.
    case migrated
    /// The guest, or somebody, reset the machine.
    case reset
    /// The guest reported its own crash.
    case crashed
    /// 0x8002 was answered: how much was reported as zero.
    case zeroedMemoryReported = "zeroed-memory-reported"
    /// The guest has given up what it was asked to.
    case balloonReached = "balloon-reached"
    /// Another medium is in a CD drive, or none.
    case mediumChanged = "cdrom-changed"
    /// The host pulled a network card's cable, or plugged it in.
    case linkChanged = "nic-changed"
    /// The run ends.
    case shutdown
    /// The first line of every stream: from here on nothing is missing.
    case subscribed
    /// Events that this client was too slow for.
    case lost
  }

  package let name: Name
  package let properties: [JSONValue.Member]
  /// Since the run began.
  package var nanoseconds: UInt64 = 0

  package init(_ name: Name, _ properties: [(String, JSONValue)] = []) {
    self.name = name
    self.properties = properties.map { JSONValue.Member(name: $0.0, value: $0.1) }
  }

  /// As cloud-hypervisor's event monitor has it, with its line feed.
  package var line: String {
    JSONValue.members([
      (
        "timestamp",
        .members([
          ("secs", .count(nanoseconds / 1_000_000_000)),
          ("nanos", .count(nanoseconds % 1_000_000_000)),
        ])
      ),
      ("source", .text("vm")), ("event", .text(name.rawValue)),
      ("properties", .object(properties)),
    ]).compactText + "\n"
  }
}

/// Events that wait for somebody: the oldest make room, and are counted.
package struct EventBacklog: Sendable {
  package let limit: Int
  private var events: [ControlEvent] = []
  private var lostCount: UInt64 = 0

  /// - Parameter limit: the most that wait.
  package init(limit: Int) {
    precondition(limit > 0, "a backlog of \(limit)")
    self.limit = limit
  }

  package var isEmpty: Bool { events.isEmpty && lostCount == 0 }

  package mutating func add(_ event: ControlEvent) {
    events.append(event)
    guard events.count > limit else { return }
    lostCount += 1
    events.removeFirst()
  }

  /// Adds what another backlog lost.
  package mutating func addLost(_ count: UInt64) { lostCount += count }

  /// All that wait, and how many were lost before the first of them.
  package mutating func take() -> (events: [ControlEvent], lostCount: UInt64) {
    defer { (events, lostCount) = ([], 0) }
    return (events, lostCount)
  }

  /// The same as lines; the loss is an event, too.
  package mutating func takeLines() -> String {
    let (events, lostCount) = take()
    var lines = ""
    if lostCount > 0 {
      var lost = ControlEvent(.lost, [("count", .count(lostCount))])
      lost.nanoseconds = events.first?.nanoseconds ?? 0
      lines = lost.line
    }
    for event in events { lines += event.line }
    return lines
  }
}
