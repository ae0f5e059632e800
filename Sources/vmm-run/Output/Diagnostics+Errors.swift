internal import Devices
internal import VMM

extension Diagnostics {
  /// Reports what ended a command, and gives the exit status that says whose fault it was.
  static func end(with error: any Error) -> ExitStatus {
    report("\(error)")
    return (error as? MachineError)?.isHostLimit == true ? .hostCannot : .failure
  }

  /// Says that a file is open without a lock.
  ///
  /// - Parameter gap: nil for a file with all its locks, of which nothing is said.
  static func warnOfMissingLocks(_ gap: FileLockGap?, of file: String) {
    guard let gap else { return }
    report("warning: \(file): \(gap); see to it that no other program has it open")
  }
}
