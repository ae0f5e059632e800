package import MachineSpecification

/// `vm.info`.
package struct MachineInfo: Equatable, Sendable {
  /// As cloud-hypervisor names them.
  package enum State: String, CaseIterable, Sendable {
    /// It is being made: at the start, or after a reset.
    case created = "Created"
    case running = "Running"
    /// Its vCPUs are out of the guest, or on their way.
    case paused = "Paused"
    /// The run ends.
    case shutdown = "Shutdown"
  }

  package var state: State
  package var processID: Int32
  package var version: String
  package var uptimeSeconds: Double
  /// What `--print-config` prints.
  package var configuration: JSONValue
  /// How far it has moved elsewhere; nil if it does not.
  package var migration: Migration?

  package struct Migration: Equatable, Sendable {
    package var round: Int
    package var sentByteCount: UInt64
    package var remainingByteCount: UInt64

    package init(round: Int, sentByteCount: UInt64, remainingByteCount: UInt64) {
      self.round = round
      self.sentByteCount = sentByteCount
      self.remainingByteCount = remainingByteCount
    }

    /// Also of an event.
    package var members: [(String, JSONValue)] {
      [
        ("round", .integer(Int64(round))), ("sent_bytes", .count(sentByteCount)),
        ("remaining_bytes", .count(remainingByteCount)),
      ]
    }
  }

  package init(
    state: State, processID: Int32, version: String, uptimeSeconds: Double,
    configuration: JSONValue
  ) {
    self.state = state
    self.processID = processID
    self.version = version
    self.uptimeSeconds = uptimeSeconds
    self.configuration = configuration
  }

  package var value: JSONValue {
    .members(
      [
        ("state", .text(state.rawValue)), ("pid", .integer(Int64(processID))),
        ("version", .text(version)), ("uptime_seconds", .number(uptimeSeconds)),
        ("config", configuration),
      ] + (migration.map { [("migration", .members($0.members))] } ?? []))
  }

  /// `vmm.ping`: who answers.
  package var ping: JSONValue {
    .members([("version", .text(version)), ("pid", .integer(Int64(processID)))])
  }
}
