internal import HostSystem

/// The threads of a device: started together, and joined together. Any thread.
public final class DeviceThreads: Sendable {
  private let threads = Guarded<[HostThread]>([])

  /// None yet.
  public init() {}

  /// Starts threads that run `body`.
  ///
  /// - Parameters:
  ///   - kind: what they are for, as in "disk".
  ///   - body: ends when the device's work is over, which is also the end of those that started
  ///     when another could not.
  /// - Throws: `DeviceError` when the host gives no more threads; `join` ends those that started.
  public func start(
    count: Int, kind: String, _ body: @escaping @Sendable () -> Void
  ) throws(DeviceError) {
    let isComplete = threads.withLock { threads in
      while threads.count < count, let thread = try? HostThread(body) { threads.append(thread) }
      return threads.count == count
    }
    guard isComplete else { throw .threads(count: count, kind: kind) }
  }

  /// Waits for their ends; may be called again. Not on one of them.
  public func join() {
    let threads = threads.withLock { threads in
      defer { threads = [] }
      return threads
    }
    for thread in threads { thread.join() }
  }
}
