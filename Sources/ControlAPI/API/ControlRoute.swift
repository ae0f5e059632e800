internal import MachineSpecification

/// What can be asked of a running machine, by the names of cloud-hypervisor's interface where it
/// has the same.
///
/// The table of all of it: what reads requests, `vmm-run ctl` and the OpenAPI description go by it.
package enum ControlRoute: String, CaseIterable, Sendable {
  case ping = "vmm.ping"
  case info = "vm.info"
  case counters = "vm.counters"
  case metrics = "vm.metrics"
  case events = "vm.events"
  case screenshot = "vm.screenshot"
  case pause = "vm.pause"
  case resume = "vm.resume"
  case powerButton = "vm.power-button"
  case reboot = "vm.reboot"
  case shutdown = "vm.shutdown"
  case snapshot = "vm.snapshot"
  case sendMigration = "vm.send-migration"
  case cancelMigration = "vm.cancel-migration"
  case resize = "vm.resize"
  case trim = "vm.trim"
  case cdrom = "vm.cdrom"
  case nic = "vm.nic"

  /// What stands before a name in a target.
  package static let prefix = "/api/v1/"

  /// The route of a path; nil for none.
  package init?(path: String) {
    guard path.hasPrefix(Self.prefix) else { return nil }
    self.init(rawValue: String(path.dropFirst(Self.prefix.count)))
  }

  package var path: String { Self.prefix + rawValue }

  /// The word for people: `pause`.
  package var command: String {
    switch self {
    case .sendMigration: "migrate"
    default: String(rawValue.drop { $0 != "." }.dropFirst())
    }
  }

  package var method: HTTPMethod {
    switch self {
    case .ping, .info, .counters, .metrics, .events, .screenshot: .get
    case .pause, .resume, .powerButton, .reboot, .shutdown, .resize, .trim, .cdrom, .nic: .put
    case .snapshot, .sendMigration, .cancelMigration: .put
    }
  }

  /// All methods that it answers, for `Allow`.
  package var allowed: String {
    (method == .get ? [method, .head, .options] : [.options, method])
      .map(\.rawValue).joined(separator: ", ")
  }

  package var summary: String {
    switch self {
    case .ping: "Who answers here."
    case .info: "What the machine is and whether it runs."
    case .counters: "What the machine has done so far, as JSON."
    case .metrics: "The same for Prometheus, text format 0.0.4."
    case .events: "What happens, one JSON object a line, for as long as the client stays."
    case .screenshot: "What the display shows, as PNG."
    case .pause: "Takes all vCPUs out of the guest. Nothing happens if it is paused."
    case .resume: "Lets the vCPUs go on. Nothing happens if they run."
    case .powerButton: "Presses the power button: an operating system that listens shuts down."
    case .reboot: "Resets the machine, as the reset button of a PC does; it runs, also if paused."
    case .shutdown: "Ends the run, whatever the guest is doing."
    case .snapshot:
      "Saves the machine under a name in the directory of --snapshots, in place of what has it; one"
        + " that runs is paused meanwhile."
    case .sendMigration:
      "Moves the machine, while it runs, over the connected stream socket that came with the"
        + " request (SCM_RIGHTS), to a 'vmm-run receive'; the run ends when the guest goes on there."
    case .cancelMigration:
      "Ends a move: the machine stays. Nothing happens without one, or when it is over."
    case .resize: "Changes how much memory the guest is to give up to the balloon, or to have."
    case .trim:
      "Gives zero pages of sparsely used huge pages back to the host, for a second at most; the guest"
        + " runs on."
    case .cdrom: "Changes the medium in a CD drive, or ejects it."
    case .nic: "Pulls the cable of a network card, or plugs it in."
    }
  }

  /// The body that it takes; nil for none.
  package var requestSchema: ControlSchema? {
    switch self {
    case .snapshot: .snapshot
    case .sendMigration: .migration
    case .resize: .resize
    case .cdrom: .cdrom
    case .nic: .nic
    default: nil
    }
  }

  /// What it answers: a content type, and the schema of what is JSON. Nil for nothing.
  package var reply: (contentType: String, schema: ControlSchema?)? {
    switch self {
    case .ping: (ControlReply.json, .ping)
    case .info: (ControlReply.json, .info)
    case .counters: (ControlReply.json, .counters)
    case .metrics: (ControlReply.metrics, nil)
    case .events: (ControlReply.lines, .event)
    case .screenshot: (ControlReply.png, nil)
    case .trim: (ControlReply.json, .trimState)
    case .cdrom: (ControlReply.json, .medium)
    case .snapshot: (ControlReply.json, .snapshotState)
    case .sendMigration: (ControlReply.json, .migrationState)
    case .pause, .resume, .powerButton, .reboot, .shutdown, .resize, .nic, .cancelMigration: nil
    }
  }

  /// Errors of its own, beside those of every request.
  package var failures: [HTTPStatus] {
    switch self {
    case .screenshot, .powerButton, .resize, .trim, .cdrom, .nic: [.conflict, .unavailable]
    case .pause: [.internalError, .unavailable]
    case .snapshot, .sendMigration: [.conflict, .internalError, .unavailable]
    case .reboot: [.conflict, .unavailable]
    case .counters, .metrics, .events: [.unavailable]
    case .resume: [.conflict]
    case .ping, .info, .shutdown, .cancelMigration: []
    }
  }
}
