internal import DeviceKit
internal import Devices
internal import VMM

/// `vmm-run run`.
enum RunCommand {
  static func run(_ options: RunOptions) -> ExitStatus {
    do {
      var options = options
      try options.findFirmware(in: .ofHost())
      try options.files.check()
      switch options.guest {
      case .program(let path): return try runProgram(path, options.machine)
      case .system(let system): return try SystemRun.run(system, machine: options.machine)
      }
    } catch {
      return Diagnostics.end(with: error)
    }
  }

  private static func runProgram(_ path: String, _ options: MachineOptions) throws -> ExitStatus {
    let program = try GuestFile.program(path).read()
    let trace = try options.traceHypercalls.map { HypercallTrace(try LogFile($0)) }
    let output = StandardOutput()
    let sandbox = MachineSandbox(options)
    try sandbox.enter()
    let control = MachineControl()
    let reporter = StatusReporter()
    let signals = try SignalWatcher(
      onFirst: { _ in control.end(with: .stopped) }, onStatus: { reporter.report() })
    defer { signals.stop() }
    let console = ConsoleWriter(output.writer(.ofProcess)) { Diagnostics.report($0) }
    var configuration = try options.configuration(.program(program))
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
    sandbox.protect(&configuration)
    let outcome: MachineOutcome
    do {
      let machine = try Machine(showing: configuration, control: control) { event in
        trace?.record(HypercallRecord(event))
      }
      try trace?.begin()
      reporter.begin(machine)
      outcome = machine.run()
      reporter.end()
    } catch MachineError.stopped {
      outcome = .stopped
    }
    let status = status(of: outcome, signals.receivedSignal)
    return trace?.end(status) ?? status
  }

  private static func status(of outcome: MachineOutcome, _ signal: Int32?) -> ExitStatus {
    switch outcome {
    case .exited(let status): return .guest(UInt8(truncatingIfNeeded: status))
    case .stopped where signal != nil: return .signalled(signal ?? 0)
    default:
      for line in outcome.failureLines { Diagnostics.report(line) }
      return .failure
    }
  }
}
