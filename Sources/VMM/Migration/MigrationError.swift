public import HostSystem

/// Why a machine does not move. One line.
public enum MigrationError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The other side's own words.
  case refused(String)
  /// The other side closed the connection.
  case closed
  /// Nothing came, or nothing was taken, for as long.
  case timedOut(seconds: Int)
  case system(operation: String, Errno)
  /// What came is not what a machine that moves sends.
  case format(String)
  case cancelled
  /// It writes faster than the connection takes it.
  case tooBusy(remainingByteCount: UInt64, bytesPerSecond: UInt64)
  /// Whatever has to do with the machine on this side.
  case machine(String)
  /// The destination was told to go on, and has not said that it does: it may run or not.
  case unknown

  public var description: String {
    switch self {
    case .refused(let text): "the other side refuses: \(text)"
    case .closed: "the other side closed the connection"
    case .timedOut(let seconds): "the other side did nothing for \(seconds) seconds"
    case .system(let operation, let error): "\(operation): \(error)"
    case .format(let text): "the other side sends no machine that this program can take: \(text)"
    case .cancelled: "cancelled"
    case .tooBusy(let remaining, let rate):
      "the guest writes too fast: \(remaining >> 20) MiB were left at \(rate >> 20) MiB/s; allow a"
        + " longer downtime, or let it stop whatever is left"
    case .machine(let text): text
    case .unknown:
      "the destination has everything and has not said that it runs; look there: if it does, shut"
        + " this machine down, if it does not, resume it"
    }
  }
}
