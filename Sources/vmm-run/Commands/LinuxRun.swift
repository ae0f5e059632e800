internal import Devices
internal import HyperVCore
internal import VMM

/// `vmm-run run --kernel`.
enum LinuxRun {
  static func run(_ linux: LinuxOptions, machine: MachineOptions) throws -> ExitStatus {
    let trace = try machine.traceHypercallsPath.map { try HypercallTrace(path: $0) }
    let guest = LinuxGuest(
      kernel: try BootFile(path: linux.kernelPath, role: "kernel"),
      initrd: try linux.initrdPath.map { try BootFile(path: $0, role: "initrd") },
      commandLine: linux.commandLine ?? "console=ttyS0")
    var configuration = try machine.configuration(.linux(guest))
    configuration.computer.serialOutput = { ConsoleOutput.write($0) }
    configuration.computer.disks = try linux.disks.map {
      try RawImageStore(path: $0.path, isReadOnly: $0.isReadOnly)
    }
    if case .chosen(let features) = linux.hyperVFeatures {
      configuration.enlightenments = features
    }
    let control = MachineControl()
    let signals = try SignalWatcher { _ in control.end(with: .stopped) }
    defer { signals.stop() }
    let built = try Machine(configuration, control: control) { trace?.record(HypercallRecord($0)) }
    let outcome = built.run()
    try trace?.finish()
    if linux.tracesIO {
      for access in built.ports.unclaimedAccesses { Diagnostics.report("\(access)") }
      for page in built.registers.unclaimedPages { Diagnostics.report("\(page)") }
    }
    switch outcome {
    case .poweredOff: return .success
    case .exited(let status): return .guest(UInt8(truncatingIfNeeded: status))
    case .stopped: return signals.receivedSignal.map { .signalled($0) } ?? .failure
    default:
      Diagnostics.report(outcome.failureText)
      return .failure
    }
  }
}
