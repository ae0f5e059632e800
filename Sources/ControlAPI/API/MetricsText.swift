internal import MachineSpecification

/// A metric of `vm.metrics`: its name is promised.
package struct Metric: Sendable {
  package enum Kind: String, Sendable {
    case counter
    case gauge
  }

  package let name: String
  package let kind: Kind
  package let help: String
  /// Names of its labels, in their order.
  package let labels: [String]

  private init(_ name: String, _ kind: Kind, labels: [String] = [], _ help: String) {
    self.name = name
    self.kind = kind
    self.labels = labels
    self.help = help
  }

  static let info = Metric(
    "vmm_info", .gauge, labels: ["version"], "Always 1; the version of vmm-run as a label.")
  static let uptime = Metric("vmm_uptime_seconds", .gauge, "Time since the run began.")
  static let paused = Metric("vmm_paused", .gauge, "1 while the vCPUs are paused.")
  static let resets = Metric("vmm_resets_total", .counter, "Resets of the machine.")
  static let exits = Metric(
    "vmm_vcpu_exits_total", .counter, labels: ["vcpu", "kind"],
    "Exits of a vCPU that reached this process, since the machine's last reset.")
  static let memory = Metric(
    "vmm_memory_bytes", .gauge, labels: ["class"],
    "Guest memory by class: ram is all of it; a page may count in several others.")
  static let balloonTarget = Metric(
    "vmm_balloon_target_bytes", .gauge, "What the guest is to give up to the balloon.")
  static let balloonGivenBack = Metric(
    "vmm_balloon_given_back_bytes_total", .counter,
    "Memory that the host got back by the balloon and by reports of free pages.")
  static let trimGivenBack = Metric(
    "vmm_trim_given_back_bytes_total", .counter,
    "Zero memory of sparsely used huge pages that the host got back.")
  static let trimSplits = Metric(
    "vmm_trim_split_huge_pages_total", .counter, "Huge pages that were taken apart for that.")
  static let diskReads = Metric(
    "vmm_disk_reads_total", .counter, labels: ["disk"], "Read commands that a disk finished.")
  static let diskReadBytes = Metric(
    "vmm_disk_read_bytes_total", .counter, labels: ["disk"], "Bytes read from a disk.")
  static let diskWrites = Metric(
    "vmm_disk_writes_total", .counter, labels: ["disk"], "Write commands that a disk finished.")
  static let diskWrittenBytes = Metric(
    "vmm_disk_written_bytes_total", .counter, labels: ["disk"], "Bytes written to a disk.")
  static let diskFailures = Metric(
    "vmm_disk_failures_total", .counter, labels: ["disk"], "Commands of a disk that failed.")
  static let networkUp = Metric(
    "vmm_network_up", .gauge, labels: ["nic"], "1 while a network card has a link.")
  static let networkReceivedFrames = Metric(
    "vmm_network_received_frames_total", .counter, labels: ["nic"],
    "Frames that came for a network card.")
  static let networkReceivedBytes = Metric(
    "vmm_network_received_bytes_total", .counter, labels: ["nic"],
    "Bytes of frames that came for a network card.")
  static let networkSentFrames = Metric(
    "vmm_network_sent_frames_total", .counter, labels: ["nic"],
    "Frames that a network card sent.")
  static let networkSentBytes = Metric(
    "vmm_network_sent_bytes_total", .counter, labels: ["nic"],
    "Bytes of frames that a network card sent.")
  static let hypercalls = Metric(
    "vmm_hypercalls_total", .counter, labels: ["call"],
    "Hypercalls that this process answered; KVM answers some by itself.")
  static let hypercallFailures = Metric(
    "vmm_hypercall_failures_total", .counter, labels: ["call"],
    "Those of them that did not succeed.")

  package static let all: [Metric] = [
    info, uptime, paused, resets, exits, memory, balloonTarget, balloonGivenBack,
    trimGivenBack, trimSplits, diskReads, diskReadBytes, diskWrites, diskWrittenBytes, diskFailures,
    networkUp, networkReceivedFrames, networkReceivedBytes, networkSentFrames, networkSentBytes,
    hypercalls, hypercallFailures,
  ]
}

/// Counters in the text format of Prometheus, 0.0.4: of each metric its help, its type and its
/// samples, all in one place.
package struct MetricsText {
  package private(set) var text = ""

  package init(_ counters: MachineCounters) {
    add(.info, [([counters.version], "1")])
    add(.uptime, [([], "\(counters.uptimeSeconds)")])
    add(.paused, [([], counters.isPaused ? "1" : "0")])
    add(.resets, [([], "\(counters.resets)")])
    add(
      .exits,
      counters.exits.enumerated().flatMap { index, exits in
        exits.map { (["\(index)", $0.name], "\($0.count)") }
      })
    add(
      .memory,
      ([("ram", counters.memory.ram)] + counters.memory.classes).map { ([$0.0], "\($0.1)") })
    if let balloon = counters.balloon {
      add(.balloonTarget, [([], "\(balloon.target)")])
      add(.balloonGivenBack, [([], "\(balloon.givenBack)")])
    }
    if let trim = counters.trim {
      add(.trimGivenBack, [([], "\(trim.givenBack)")])
      add(.trimSplits, [([], "\(trim.splitHugePages)")])
    }
    let disks: [(Metric, KeyPath<MachineCounters.Disk, UInt64>)] = [
      (.diskReads, \.reads), (.diskReadBytes, \.readBytes), (.diskWrites, \.writes),
      (.diskWrittenBytes, \.writtenBytes), (.diskFailures, \.failures),
    ]
    for (metric, value) in disks {
      add(metric, counters.disks.map { ([$0.name], "\($0[keyPath: value])") })
    }
    add(.networkUp, counters.networks.map { ([$0.name], $0.hasLink ? "1" : "0") })
    let networks: [(Metric, KeyPath<MachineCounters.Network, UInt64>)] = [
      (.networkReceivedFrames, \.receivedFrames), (.networkReceivedBytes, \.receivedBytes),
      (.networkSentFrames, \.sentFrames), (.networkSentBytes, \.sentBytes),
    ]
    for (metric, value) in networks {
      add(metric, counters.networks.map { ([$0.name], "\($0[keyPath: value])") })
    }
    add(.hypercalls, counters.hypercalls.map { ([$0.name], "\($0.count)") })
    add(.hypercallFailures, counters.hypercalls.map { ([$0.name], "\($0.failures)") })
  }

  /// A metric without samples is left out.
  private mutating func add(_ metric: Metric, _ samples: [(labels: [String], value: String)]) {
    guard !samples.isEmpty else { return }
    text += "# HELP \(metric.name) \(metric.help)\n# TYPE \(metric.name) \(metric.kind.rawValue)\n"
    for (labels, value) in samples {
      precondition(labels.count == metric.labels.count, "labels of \(metric.name): \(labels)")
      let pairs = zip(metric.labels, labels).map { "\($0)=\(Self.quoted($1))" }
      text += metric.name + (pairs.isEmpty ? "" : "{\(pairs.joined(separator: ","))}")
      text += " \(value)\n"
    }
  }

  /// A label's value: backslash, quote and line feed are escaped, and nothing else.
  private static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case "\n": quoted += "\\n"
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }
}
