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
    .members([
      ("state", .text(state.rawValue)), ("pid", .integer(Int64(processID))),
      ("version", .text(version)), ("uptime_seconds", .number(uptimeSeconds)),
      ("config", configuration),
    ])
  }

  /// `vmm.ping`: who answers.
  package var ping: JSONValue {
    .members([("version", .text(version)), ("pid", .integer(Int64(processID)))])
  }
}
