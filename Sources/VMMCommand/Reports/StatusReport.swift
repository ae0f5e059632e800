internal import Devices
internal import KVM
internal import MachineSpecification
internal import VMM

/// What a machine is doing, in one screen: for people who ask why a guest hangs.
struct StatusReport {
  private let status: MachineStatus
  /// By vCPU; empty for the first report.
  private let earlierCounts: [[UInt64]]
  private let elapsedSeconds: Double

  /// - Parameters:
  ///   - earlier: what the report before this one saw; nil for the first one of this machine.
  ///   - elapsedSeconds: since then, or since the machine began.
  init(_ status: MachineStatus, after earlier: MachineStatus?, elapsedSeconds: Double) {
    self.status = status
    earlierCounts = earlier?.processors.map(\.exitCounts) ?? []
    self.elapsedSeconds = elapsedSeconds
  }

  /// Several lines, each with its line feed.
  var text: String {
    let seconds = DecimalText.seconds(elapsedSeconds)
    let since = earlierCounts.isEmpty ? "the start, \(seconds) ago" : "\(seconds) ago"
    return Diagnostics.line("vCPUs, and their exits since \(since)") + processors.text()
      + (status.disks.isEmpty ? "" : disks.text())
      + (status.sata?.isEmpty == true ? "" : sata.text()) + others
  }

  // MARK: vCPUs

  private var processors: TextTable {
    var table = TextTable([
      .right, .left, .right, .right, .right, .right, .right, .right, .right, .right, .right,
    ])
    table.add("", "", "RIP", "CPL", "CR3", "in/out", "memory", "MSR", "call", "kick", "other")
    for (index, processor) in status.processors.enumerated() {
      let exits = exits(of: processor, index)
      let place = Self.place(processor.state)
      table.add(
        "\(processor.id)", Self.activity(processor.state), place.instruction, place.level,
        place.tables, exits(.portRead, .portWrite), exits(.memoryRead, .memoryWrite),
        exits(.msrRead, .msrWrite), exits(.hypercall), exits(.interruption), exits(.other))
    }
    return table
  }

  /// A function that gives the sum of some kinds.
  private func exits(
    of processor: MachineStatus.Processor, _ index: Int
  ) -> (ExitKind...) -> String {
    let earlier = earlierCounts.indices.contains(index) ? earlierCounts[index] : []
    return { (kinds: ExitKind...) in
      let count = kinds.reduce(UInt64(0)) { sum, kind in
        let before = earlier.indices.contains(kind.rawValue) ? earlier[kind.rawValue] : 0
        return sum &+ processor.exitCounts[kind.rawValue] &- before
      }
      return DecimalText.grouped(count)
    }
  }

  private static func activity(_ state: MachineStatus.State) -> String {
    switch state {
    case .known(let snapshot):
      switch snapshot.activity {
      case .runnable: "runs" + (snapshot.takesInterrupts ? "" : ", no interrupts")
      case .halted: snapshot.isHaltedForGood ? "halted for good" : "halted"
      case .uninitialized: "not started"
      case let activity: "KVM_MP_STATE \(activity.rawValue)"
      }
    case .busy(let exit): "busy with \(exit.text)"
    case .notStarted: "not started"
    case .absent: "no thread"
    }
  }

  private static func place(
    _ state: MachineStatus.State
  ) -> (instruction: String, level: String, tables: String) {
    guard case .known(let snapshot) = state, snapshot.activity != .uninitialized else {
      return ("", "", "")
    }
    return (
      hexadecimal(snapshot.instructionPointer), "\(snapshot.privilegeLevel)",
      hexadecimal(snapshot.pageTables)
    )
  }

  // MARK: Devices

  private var disks: TextTable {
    var table = TextTable([.left, .left, .right, .right, .right, .right, .left])
    table.add("", "queue", "to fetch", "at/of", "in flight", "to take", "")
    for (index, disk) in status.disks.enumerated() {
      let name = "disk\(index)"
      guard let disk else {
        table.add(name, "busy: another thread has its lock")
        continue
      }
      let state = disk.isFailed ? "failed" : disk.isReady ? "ready" : "not ready"
      table.add(name, state)
      for queue in disk.queues where queue.identifier == 0 || !Self.isIdle(queue) {
        table.add(
          "", queue.identifier == 0 ? "admin" : "\(queue.identifier)", "\(queue.waiting)",
          "\(queue.submissionHead)/\(queue.entryCount)", "\(queue.inFlightCount)",
          "\(queue.untaken)", Self.remark(queue))
      }
      let idleCount = disk.queues.filter { $0.identifier > 0 && Self.isIdle($0) }.count
      if idleCount > 0 { table.add("", "\(idleCount) more idle") }
    }
    return table
  }

  /// What is on the SATA adapter, by port: drives are first, as `--cdrom` numbers them.
  private var sata: TextTable {
    var table = TextTable([.left, .left, .right, .left])
    guard let ports = status.sata else {
      table.add("sata", "busy: another thread has its lock")
      return table
    }
    table.add("", "", "issued", "")
    for (index, port) in ports.enumerated() {
      let state =
        port.isHalted
        ? "stopped by an error"
        : port.isBusy ? "a command runs" : port.isStarted ? "ready" : "not started"
      var remarks = Self.remarks(port.device)
      if port.isInterrupting { remarks.append("interrupt not taken") }
      table.add("sata\(index)", state, "\(port.issuedCount)", remarks.joined(separator: ", "))
    }
    return table
  }

  private static func remarks(_ device: AHCIActivity.Device?) -> [String] {
    switch device {
    case nil: return ["CD drive, busy: another thread has its lock"]
    case .disk: return ["disk"]
    case .opticalDrive(let drive):
      var remarks = ["CD drive", drive.hasMedium ? "a medium is in" : "empty"]
      if drive.isOpen { remarks.append("open") }
      if drive.isLocked { remarks.append("locked") }
      if drive.isChangeAwaited { remarks.append("asked to eject") }
      return remarks
    }
  }

  private static func isIdle(_ queue: NVMeActivity.Queue) -> Bool {
    queue.waiting == 0 && queue.inFlightCount == 0 && queue.untaken == 0 && !queue.waitsForRoom
      && remark(queue).isEmpty
  }

  private static func remark(_ queue: NVMeActivity.Queue) -> String {
    if queue.waitsForRoom { return "waits for room among completions" }
    guard let tail = queue.shadowTail, tail != queue.submissionTail else { return "" }
    return "shadow doorbell at \(tail), seen \(queue.submissionTail)"
  }

  private var others: String {
    var lines = ""
    if let serial = status.serialPort {
      lines +=
        "  serial  \(DecimalText.counted(UInt64(serial.receivedByteCount), "byte")) unread,"
        + " IER \(Self.hexadecimal(UInt64(serial.enabledInterrupts))),"
        + " interrupt \(serial.isInterrupting ? "raised" : "not raised")\n"
    }
    if let balloon = status.balloon { lines += Self.line(balloon) }
    if let vmbus = status.vmbus { lines += Self.line(vmbus) }
    return lines + "  guest writes are \(status.isTracking ? "" : "not ")tracked\n"
  }

  private static func line(_ balloon: BalloonActivity) -> String {
    func pages(_ count: UInt64) -> ByteCount { ByteCount(count << 12) }
    var parts = [
      balloon.hasDriver
        ? "\(pages(UInt64(balloon.actualPageCount))) of \(pages(UInt64(balloon.targetPageCount)))"
        : "no driver",
      "\(ByteCount(balloon.givenBackByteCount)) given back",
    ]
    if balloon.addedTargetPageCount > 0 || balloon.addedPageCount > 0 {
      parts.append(
        "\(pages(UInt64(balloon.addedPageCount))) of "
          + "\(pages(UInt64(max(balloon.addedTargetPageCount, balloon.addedPageCount)))) added")
    }
    if balloon.keptPageCount > 0 { parts.append("\(pages(balloon.keptPageCount)) left") }
    if let statistics = balloon.statistics,
      let free = statistics[.free] ?? statistics[.available]
    {
      let word = statistics[.free] == nil ? "available" : "free"
      let total = statistics[.total].map { " of \(ByteCount($0))" } ?? ""
      let age = DecimalText.seconds(balloon.statisticsAgeSeconds)
      parts.append("\(ByteCount(free))\(total) \(word) in the guest, \(age) ago")
    }
    return "  balloon \(parts.joined(separator: ", "))\n"
  }

  private static func line(_ vmbus: VMBusActivity) -> String {
    var parts = [
      "\(DecimalText.counted(UInt64(vmbus.openChannelCount), "device")) in use",
      vmbus.canShutDown ? "shutdown is heard" : "shutdown is not heard",
    ]
    if let heartbeat = vmbus.heartbeat {
      parts.append(
        heartbeat.missedCount == 0
          ? "heartbeat \(heartbeat.answerCount)"
          : "no heartbeat since \(heartbeat.answerCount), \(heartbeat.missedCount) missed")
    }
    return "  VMBus   \(parts.joined(separator: ", "))\n"
  }

  private static func hexadecimal(_ value: UInt64) -> String {
    "0x" + String(value, radix: 16)
  }
}

extension NVMeActivity.Queue {
  /// Commands that the controller knows of and has not fetched.
  fileprivate var waiting: UInt32 { (submissionTail &+ entryCount &- submissionHead) % entryCount }
}

extension ObservedExit {
  /// `port 0x3f8`.
  fileprivate var text: String {
    switch self {
    case .port(let port): "port 0x" + String(port, radix: 16)
    case .memory(let address): "memory 0x" + String(address, radix: 16)
    case .msr: "an MSR"
    case .hyperV: "a hypercall"
    case .other(let reason): "exit \(reason)"
    }
  }
}
