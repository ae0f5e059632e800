internal import DeviceKit
internal import Devices
internal import HostSystem
internal import MachineSpecification
internal import VMM

/// `vmm-run run`.
enum RunCommand {
  static func run(_ options: RunOptions) -> ExitStatus {
    do {
      if options.printsConfiguration {
        try OutputFile.writeStandardOutput(options.machine.json)
        return .success
      }
      var options = options
      try options.machine.findFirmware(in: .ofHost())
      try options.files.check()
      if options.lacksTPM {
        Diagnostics.report(
          "no TPM, which Windows 11 asks for: swtpm is not installed (\(HostCheck.tpmCure))")
      }
      switch options.machine.guest {
      case .program(let file): return try runProgram(file, options)
      case .computer(let computer): return try SystemRun.run(computer, options)
      }
    } catch {
      options.received?.receiver.refuse("\(error)")
      return Diagnostics.end(with: error)
    }
  }

  private static func runProgram(_ path: String, _ options: RunOptions) throws -> ExitStatus {
    let program = try GuestFile.program(path).read()
    let trace = try options.traceHypercalls.map { HypercallTrace(try LogFile($0)) }
    let output = StandardOutput()
    let snapshot = try options.restoredFrom?.open()
    let snapshots = try options.snapshotsPath.map {
      try SnapshotDirectory($0, of: options.machine)
    }
    let service = try options.control.map {
      try ControlService(
        $0, try ControlledRun.Parts(specification: options.machine, snapshots: snapshots))
    }
    defer { service?.stop() }
    let sandbox = MachineSandbox(
      options.sandbox, tracking: options.machine.partition.tracking,
      controlPath: options.control?.path, snapshotsPath: options.snapshotsPath,
      isRestored: options.restoredFrom != nil, isReceived: options.received != nil)
    let confinement = try sandbox.enter()
    let control = MachineControl()
    let isShutDown = Flag()
    let reporter = StatusReporter()
    let signals = try SignalWatcher(
      onFirst: { _ in control.end(with: .stopped) },
      onRequest: { request in
        switch request {
        case .status: reporter.report()
        case .nextMedium: Diagnostics.tell("a flat program has no CD drive")
        case .screenshot: Diagnostics.tell("a flat program has no display")
        }
      })
    defer { signals.stop() }
    try service?.start(
      quit: {
        isShutDown.raise()
        control.end(with: .stopped)
      }, onThreadStart: { confinement.enterThread(.control) })
    let console = ConsoleWriter(output.writer(.ofProcess)) { Diagnostics.report($0) }
    var configuration = options.machine.partition.configuration(.program(program))
    configuration.allowsTrimming = options.control != nil
    configuration.restoration = snapshot?.restoration ?? options.received?.restoration
    options.received?.expect(options.machine, files: [])
    configuration.portDevices = [
      (DebugConsole.ports, DebugConsole { console.write([$0]) }),
      (
        PortRange(start: 0xEC, count: 1),
        SignalPort { _ in control.startSecondaryVCPUs() }
      ),
      (
        ExitPort.ports,
        ExitPort { control.end(with: .exited(status: $0)) }
      ),
    ]
    let outcome: MachineOutcome
    do {
      try service?.run.prepare(control)
      let machine = try Machine(
        showing: confinement.machine(configuration), control: control
      ) { event in
        let record = HypercallRecord(event)
        trace?.record(record)
        service?.run.note(record)
      }
      snapshot?.close()
      try trace?.begin()
      reporter.begin(machine)
      service?.run.begin(machine)
      try options.received?.receiver.commit()
      outcome = machine.run()
      reporter.end()
      service?.run.end(outcome)
    } catch MachineError.stopped {
      outcome = .stopped
    }
    let status = status(
      of: outcome, signals.receivedSignal,
      isShutDown: isShutDown.isRaised)
    return trace?.end(status) ?? status
  }

  /// - Parameter isShutDown: whether a control client ended the run.
  private static func status(
    of outcome: MachineOutcome, _ signal: Int32?, isShutDown: Bool
  ) -> ExitStatus {
    switch outcome {
    case .exited(let status): return .guest(UInt8(truncatingIfNeeded: status))
    case .stopped where signal != nil: return .signalled(signal ?? 0)
    case .stopped where isShutDown: return .success
    default:
      for line in outcome.failureLines { Diagnostics.report(line) }
      return .failure
    }
  }
}
