internal import Synchronization

/// A clock that stands still until an input moves it.
final class StreamClock: Sendable {
  private let value: Atomic<Int64>

  init(nanoseconds: Int64) {
    value = Atomic(nanoseconds)
  }

  var nanoseconds: Int64 { value.load(ordering: .relaxed) }

  /// Wraps: hosts' clocks are stepped, too.
  func advance(by nanoseconds: Int64) {
    value.wrappingAdd(nanoseconds, ordering: .relaxed)
  }
}
