import HostSystem

/// A clock that a test moves by hand.
final class ManualClock: Sendable {
  private let value: Guarded<Int64>

  init(_ nanoseconds: Int64 = 0) {
    value = Guarded(nanoseconds)
  }

  var nanoseconds: Int64 {
    get { value.withLock { $0 } }
    set { value.withLock { $0 = newValue } }
  }

  func advance(by nanoseconds: Int64) {
    value.withLock { $0 += nanoseconds }
  }
}
