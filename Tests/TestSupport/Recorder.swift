import HostSystem

/// Values in the order in which callbacks, on any thread, brought them.
package final class Recorder<Value: Sendable>: Sendable {
  private let storage = Guarded<[Value]>([])

  package init() {}

  package var values: [Value] { storage.withLock { $0 } }

  package func append(_ value: Value) {
    storage.withLock { $0.append(value) }
  }
}
