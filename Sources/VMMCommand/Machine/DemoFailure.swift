internal import HyperVCore
internal import VMM

/// The demo guest did not come to its end.
struct DemoFailure: Error, CustomStringConvertible {
  let outcome: MachineOutcome
  /// What the guest itself found wrong, by its number.
  let guestFailure: UInt64?

  var description: String {
    switch guestFailure {
    case 1?: "the demo guest found no Hyper-V in its CPUID leaves"
    case 2?: "the demo guest could not enable its hypercall page"
    case 3?: "the demo guest got a reply with more than 255 ranges"
    case let number?: "the demo guest failed with number \(number)"
    case nil: outcome.failureText
    }
  }
}

extension MachineOutcome {
  /// The end of a run that was not the guest's own: one line, and what a crashed guest had to say.
  var failureLines: [String] {
    if case .crashed(let crash) = self { CrashText(crash).lines } else { [failureText] }
  }

  /// The same in one line.
  var failureText: String {
    switch self {
    case .exited(let status): "the guest ended with status \(status)"
    case .stopped: "stopped"
    case .poweredOff: "the guest switched the machine off"
    case .reset: "the guest reset the machine, which ends a program's run"
    case .tripleFault(let vcpuID, let instructionPointer):
      "vCPU \(vcpuID): triple fault at RIP 0x\(String(instructionPointer, radix: 16)):"
        + " an exception found no handler"
    case .crashed(let crash): CrashText(crash).lines[0]
    case .failed(let error): error.description
    }
  }
}
