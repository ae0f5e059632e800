internal import VMM

/// `vmm-run run --kernel`.
enum LinuxRun {
  static func run(_ linux: LinuxOptions, machine: MachineOptions) throws -> ExitStatus {
    throw MachineError.configuration(
      "cannot boot the kernel \(linux.kernelPath): this version runs flat programs only; "
        + "use '--program'")
  }
}
