internal import VMM

extension Diagnostics {
  /// Reports what ended a command, and gives the exit status that says whose fault it was.
  static func end(with error: any Error) -> ExitStatus {
    report("\(error)")
    return (error as? MachineError)?.isHostLimit == true ? .hostCannot : .failure
  }
}
