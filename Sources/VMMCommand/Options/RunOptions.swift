internal import MachineSpecification
internal import SMBIOS

/// What `vmm-run run` was asked to do.
struct RunOptions: Equatable, Sendable {
  var machine: MachineSpec
  var traceHypercalls: LogFileSpec?
  var sandbox = SandboxChoice.on
  /// Where the picture on the display goes at the end.
  var screenshotPath: String?
  /// Nil for no viewers of the display.
  var vnc: VNCOptions?
  /// Where control clients connect; nil for nowhere.
  var control: ControlOptions?
  /// Where the machine can be saved; nil for nowhere.
  var snapshotsPath: String?
  /// Who moves the size of the guest's memory.
  var memoryPolicy = MemoryPolicyChoice.fixed
  /// Where what the guest does is recorded; nil for nowhere.
  var evidencePath: String?
  /// The saved machine that is to go on; nil for one that starts.
  var restoredFrom: Snapshot?
  /// The machine that comes from another process; nil for one that does not.
  var received: ReceivedMachine?
  /// Whether accesses that no device claimed are printed, once each, at the end.
  var tracesIO = false
  /// Whether the machine would usually have a TPM, and has none for want of swtpm.
  var lacksTPM = false
  /// Whether the machine is to have a network, and this host lacks what it needs for that.
  var lacksNetwork = false
  /// Whether the machine is printed, and not started.
  var printsConfiguration = false

  init(_ machine: MachineSpec) {
    self.machine = machine
  }

  /// - Parameter readConfiguration: reads the machine of `--config`.
  init(
    _ parsed: ParsedOptions,
    readConfiguration: (String) throws(UsageError) -> MachineSpec
  ) throws(UsageError) {
    let machine: MachineSpec
    if let path = parsed.text(.configuration) {
      machine = try readConfiguration(path)
    } else if let path = parsed.text(.kernel) {
      machine = MachineSpec(.computer(ComputerSpec(.kernel(KernelSpec(file: path)))))
    } else if let path = parsed.text(.firmware) {
      machine = MachineSpec(.computer(ComputerSpec(.firmware(FirmwareSpec(option: path)))))
    } else {
      // The parser has refused a command line without any.
      machine = MachineSpec(.program(file: parsed.text(.program) ?? ""))
    }
    try self.init(parsed, changing: machine)
  }

  /// The options of `restore`.
  init(
    restoring parsed: ParsedOptions,
    readSnapshot: (String) throws(UsageError) -> Snapshot
  ) throws(UsageError) {
    guard let path = parsed.operands.first else {
      throw .missingOperand("DIR", command: .restore)
    }
    if let stranger = parsed.operands.dropFirst().first {
      throw .unexpectedArgument(stranger, command: .restore, suggestions: [])
    }
    let snapshot = try readSnapshot(path)
    let machine: MachineSpec
    do throws(SnapshotError) {
      machine = try snapshot.specification()
    } catch {
      throw .unreadableConfiguration(error.description)
    }
    try self.init(parsed, changing: machine)
    if parsed.contains(.newIdentity) { self.machine.takeIdentity(.random()) }
    restoredFrom = snapshot
  }

  /// Takes what was given into a machine.
  ///
  /// - Parameter usualViewers: what counts without `--vnc`.
  init(
    _ parsed: ParsedOptions, changing base: MachineSpec, usualViewers: String = VNCOptions.off
  ) throws(UsageError) {
    machine = base
    try Self.checkKind(of: machine.guest, parsed)
    if case .computer(var computer) = machine.guest {
      try computer.take(parsed)
      machine.guest = .computer(computer)
    }
    try machine.partition.take(parsed, vcpuCounts: machine.guest.vcpuCounts)
    try parsed.checked(.memory(default: nil)) { [machine] () throws(SpecValueError) in
      try machine.checkMemory()
    }
    if let text = parsed.text(.traceHypercalls) {
      traceHypercalls = try LogFileSpec(parsing: text, option: .traceHypercalls)
    }
    sandbox = try parsed.choice(.sandbox) ?? sandbox
    screenshotPath = parsed.text(.screenshot)
    control = try parsed.value(.control) { (text) throws(SpecValueError) in
      try ControlOptions(parsing: text)
    }
    snapshotsPath = parsed.text(.snapshots)
    memoryPolicy = try parsed.choice(.memoryPolicy) ?? memoryPolicy
    if memoryPolicy != .fixed, case .computer(let computer) = machine.guest,
      !computer.hasVMBus, computer.balloon == nil
    {
      throw .missingCompanion(
        option: "\(OptionDefinition.memoryPolicy.name) \(memoryPolicy.rawValue)",
        needs: "\(OptionDefinition.vmbus.name)' or '\(OptionDefinition.balloon.name)")
    }
    vnc = try VNCOptions(parsed, usual: usualViewers)
    if case .computer(var computer) = machine.guest {
      if vnc != nil || screenshotPath != nil { computer.display = computer.display ?? .usual }
      if vnc != nil { computer.usb = computer.usb ?? [.tablet] }
      machine.guest = .computer(computer)
    }
    tracesIO = parsed.contains(.traceIO)
    evidencePath = parsed.text(.evidence)
    if evidencePath != nil { machine.partition.tracking.verifiesZeroedMemory = true }
    printsConfiguration = parsed.contains(.printConfiguration)
  }

  /// What the parser could not see: the kind of a guest that a file names.
  private static func checkKind(
    of guest: GuestSpec, _ parsed: ParsedOptions
  ) throws(UsageError) {
    let (strangers, companions): ([OptionDefinition], [OptionDefinition]) =
      switch guest {
      case .program:
        (
          CommandDefinition.linux + CommandDefinition.firmware + CommandDefinition.system,
          [.kernel, .firmware]
        )
      case .computer(let computer):
        switch computer.boot {
        case .kernel: (CommandDefinition.firmware, [.firmware])
        case .firmware: (CommandDefinition.linux, [.kernel])
        }
      }
    guard let stranger = strangers.first(where: parsed.contains) else { return }
    throw .missingCompanion(
      option: stranger.name, needs: companions.map(\.synopsis).joined(separator: "' or '"))
  }
}

/// Whether the process gives up what its machine does not need, as `--sandbox` names it.
enum SandboxChoice: String, CaseIterable, Sendable, Codable, SpecChoice {
  case on
  /// To debug: nothing is given up.
  case off
}
