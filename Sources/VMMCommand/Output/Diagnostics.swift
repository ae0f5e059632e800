internal import Devices
import Glibc
internal import MachineSpecification
internal import VMM

/// What `vmm-run` says about itself on standard error.
enum Diagnostics {
  static let prefix = "vmm-run: "

  /// One message, one line, one write: messages of several threads or processes do not mix, and no
  /// name of a file makes two of one.
  static func line(_ message: some CustomStringConvertible) -> String {
    prefix + ArgumentText.printable(message.description) + "\n"
  }

  /// A failure to write is ignored: there is nowhere left to say so.
  static func report(_ message: some CustomStringConvertible) {
    try? OutputFile.write(line(message), to: STDERR_FILENO, named: "standard error")
  }
}

extension Diagnostics {
  /// Answers a user who asked while the guest runs: waits for no reader for long.
  static func tell(_ message: some CustomStringConvertible) {
    tell(lines: line(message))
  }

  /// The same of whole lines.
  static func tell(lines: String) {
    try? OutputFile.write(
      lines, to: STDERR_FILENO, named: "standard error",
      policy: .loses(patienceMilliseconds: OutputPatience.lastMilliseconds))
  }

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
