internal import Devices
internal import VMM

/// `vmm-run run`.
enum RunCommand {
  static func run(_ options: RunOptions) -> ExitStatus {
    do {
      let program = try ProgramFile.read(options.programPath)
      let trace = try options.machine.traceHypercallsPath.map { try HypercallTrace(path: $0) }
      let control = MachineControl()
      let signals = try SignalWatcher { _ in control.end(with: .stopped) }
      defer { signals.stop() }
      var configuration = try options.machine.configuration(program: program)
      configuration.portDevices = [
        (DebugConsole.ports, DebugConsole { ConsoleOutput.write($0) }),
        (
          PortRange(start: 0xEC, count: 1),
          SignalPort { _ in control.startSecondaryVCPUs() }
        ),
        (
          ExitPort.ports,
          ExitPort { control.end(with: .exited(status: $0)) }
        ),
      ]
      let machine = try Machine(configuration, control: control) { event in
        trace?.record(HypercallRecord(event))
      }
      let outcome = machine.run()
      try trace?.finish()
      switch outcome {
      case .exited(let status):
        return .guest(UInt8(truncatingIfNeeded: status))
      case .stopped:
        return signals.receivedSignal.map { .signalled($0) } ?? .failure
      default:
        Diagnostics.report(outcome.failureText)
        return .failure
      }
    } catch {
      return Diagnostics.end(with: error)
    }
  }
}
