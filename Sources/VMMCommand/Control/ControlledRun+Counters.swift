internal import ControlAPI
internal import Devices
internal import GuestMemory
internal import MachineSpecification
internal import VMM
internal import ZeroTracker

extension ControlledRun.Parts {
  /// What a machine has done, and what it uses. Nothing of it stops a vCPU.
  func counters(of machine: Machine) -> MachineCounters {
    var counters = MachineCounters()
    counters.exits = machine.exitCounts.map { counts in
      ExitKind.allCases.map { MachineCounters.Count($0.metricName, counts[$0.rawValue]) }
    }
    counters.memory = memory(of: machine)
    if let activity = balloon?.activity {
      let page = UInt64(Balloon.pageByteCount)
      counters.balloon = MachineCounters.Balloon(
        target: UInt64(activity.targetPageCount) * page,
        actual: UInt64(activity.actualPageCount) * page,
        givenBack: activity.givenBackByteCount)
      counters.memory.available = activity.statistics?[.available]
      if machine.memory.layout.growth != nil {
        counters.memory.added = UInt64(activity.addedPageCount) * page
      }
      counters.memory.ballooned = min(counters.balloon?.actual ?? 0, counters.memory.ram)
    }
    if let totals = machine.trimTotals {
      counters.trim = MachineCounters.Trim(
        givenBack: totals.givenBackByteCount, splitHugePages: totals.splitCount)
    }
    counters.disks = disks.map { name, history in
      let counts = history.counts
      var disk = MachineCounters.Disk(name)
      disk.reads = counts.readCommands
      disk.readBytes = counts.readBytes
      disk.writes = counts.writeCommands
      disk.writtenBytes = counts.writtenBytes
      disk.failures = counts.failures
      return disk
    }
    counters.networks = networks.map { name, cable in
      let counts = cable.counts
      var network = MachineCounters.Network(name)
      network.hasLink = cable.hasLink
      network.receivedFrames = counts.receivedFrames
      network.receivedBytes = counts.receivedBytes
      network.sentFrames = counts.sentFrames
      network.sentBytes = counts.sentBytes
      return network
    }
    return counters
  }

  private func memory(of machine: Machine) -> MachineCounters.Memory {
    var memory = MachineCounters.Memory()
    memory.ram = machine.memory.ramByteCount
    memory.populated = try? machine.memory.residentByteCount()
    let snapshot = machine.memory.tracker.snapshot()
    let pages = snapshot.total
    memory.zero = snapshot.isComplete ? pages.zeroed << 12 : nil
    memory.reported = pages.reported << 12
    memory.written = pages.written << 12
    memory.touched = pages.touched << 12
    return memory
  }
}

extension ExitKind {
  /// A word for a label.
  fileprivate var metricName: String {
    switch self {
    case .portRead: "port_read"
    case .portWrite: "port_write"
    case .memoryRead: "memory_read"
    case .memoryWrite: "memory_write"
    case .msrRead: "msr_read"
    case .msrWrite: "msr_write"
    case .hypercall: "hypercall"
    case .interruption: "interruption"
    case .other: "other"
    }
  }
}

extension MediaChanger.Outcome {
  /// `vm.cdrom`.
  var value: JSONValue {
    .members([
      ("drive", .integer(Int64(drive))), ("medium", medium.map { .text($0) } ?? .null),
      ("is_awaited", .flag(isAwaited)), ("message", .text(text)),
    ])
  }
}
