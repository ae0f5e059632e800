/// How the process ends, as scripts see it.
enum ExitStatus: Equatable, Sendable {
  case success
  /// The guest or the run failed, or an answer was not the truth.
  case failure
  /// The command line was wrong; nothing was started.
  case usage
  /// This host lacks something that is needed.
  case hostCannot
  /// `run`: the number the guest wrote to port 0xF4.
  case guest(UInt8)
  /// Ended in order because of a signal; 128 and its number, as shells report it.
  case signalled(Int32)

  var code: Int32 {
    switch self {
    case .success: 0
    case .failure: 1
    case .usage: 2
    case .hostCannot: 3
    case .guest(let status): Int32(status)
    case .signalled(let signal): 128 + signal
    }
  }
}
