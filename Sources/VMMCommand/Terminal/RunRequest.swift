import Glibc

/// What a user asks of a run that goes on: by a signal, or by Ctrl-A and a letter.
enum RunRequest: Hashable, Sendable {
  /// What the machine is doing.
  case status
  /// The next medium in a CD drive; nil for the first one with more named.
  case nextMedium(drive: Int?)
  /// The picture of `--screenshot`, now.
  case screenshot

  /// The signals that ask. SIGRTMIN is the C library's: 34.
  static let signals: [(signal: Int32, request: RunRequest)] = [
    (SIGUSR1, .status), (SIGUSR2, .screenshot),
    (__libc_current_sigrtmin(), .nextMedium(drive: nil)),
  ]
}
