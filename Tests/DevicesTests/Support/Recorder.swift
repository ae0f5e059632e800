import ZeroTracker

/// Values in the order in which callbacks, on any thread, brought them.
final class Recorder<Value: Sendable>: Sendable {
  private let storage = Guarded<[Value]>([])

  var values: [Value] { storage.withLock { $0 } }

  func append(_ value: Value) {
    storage.withLock { $0.append(value) }
  }
}
