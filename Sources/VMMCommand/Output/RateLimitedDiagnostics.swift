import HostSystem
import Synchronization

/// Messages that a guest can cause, as often as it likes: a few in each interval are printed, and
/// how many were not. So neither standard error nor the time of the thread that reports is the
/// guest's to spend.
///
/// Safe from any thread.
final class RateLimitedDiagnostics: Sendable {
  /// What was printed in the interval that began last.
  private struct State {
    var start: UInt64?
    var toldCount = 0
    /// Since the last line that reported them.
    var droppedCount: UInt64 = 0
  }

  /// Messages printed in an interval.
  static let messagesPerInterval = 10
  /// A minute: a guest that never stops fills 15 MB of a log in a week.
  static let intervalNanoseconds: UInt64 = 60_000_000_000

  private let nanoseconds: @Sendable () -> UInt64
  private let print: @Sendable (String) -> Void
  private let state = Mutex(State())

  /// - Parameters:
  ///   - nanoseconds: a clock that never goes back.
  ///   - print: receives each line, on the thread that reports.
  init(
    nanoseconds: @escaping @Sendable () -> UInt64 = HostClock.monotonicNanoseconds,
    print: @escaping @Sendable (String) -> Void = { Diagnostics.report($0) }
  ) {
    self.nanoseconds = nanoseconds
    self.print = print
  }

  /// Prints the message, after the number of those before it that were dropped, or counts it.
  func report(_ message: some CustomStringConvertible) {
    let now = nanoseconds()
    let (isTold, droppedCount) = state.withLock { state in
      if now &- (state.start ?? now) >= Self.intervalNanoseconds || state.start == nil {
        state.start = now
        state.toldCount = 0
      }
      guard state.toldCount < Self.messagesPerInterval else {
        // Cannot wrap: at a billion messages a second it would take 584 years.
        state.droppedCount &+= 1
        return (false, 0 as UInt64)
      }
      state.toldCount += 1
      return (true, Self.takeDropped(&state))
    }
    guard isTold else { return }
    tell(droppedCount)
    print(message.description)
  }

  /// Prints how many messages were dropped since the last one printed, if any were.
  func finish() {
    tell(state.withLock { Self.takeDropped(&$0) })
  }

  private static func takeDropped(_ state: inout State) -> UInt64 {
    defer { state.droppedCount = 0 }
    return state.droppedCount
  }

  private func tell(_ droppedCount: UInt64) {
    if droppedCount > 0 {
      print("\(DecimalText.counted(droppedCount, "message")) like these left out")
    }
  }
}
