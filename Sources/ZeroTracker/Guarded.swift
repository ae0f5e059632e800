import Synchronization

/// A mutex whose hand-over race detectors can follow. A copy of the one in `HostSystem`, as this
/// module imports nothing of ours.
///
/// Under contention the kernel passes a `Mutex` on, which ThreadSanitizer does not see on Linux; it
/// then reports races where there are none. The atomic says the same once more: everything before a
/// release is visible after the acquire that follows it. That costs two unlocked moves on x86-64.
struct Guarded<Value>: ~Copyable {
  private let mutex: Mutex<Value>
  private let handovers = Atomic<UInt>(0)

  init(_ value: consuming sending Value) {
    mutex = Mutex(value)
  }

  /// Runs `body` alone with the value. It must not call itself.
  borrowing func withLock<R, E: Error>(
    _ body: (inout sending Value) throws(E) -> sending R
  ) throws(E) -> sending R {
    try mutex.withLock { (value) throws(E) -> sending R in
      let count = handovers.load(ordering: .acquiring)
      // Only the holder of the lock writes it; it may wrap.
      defer { handovers.store(count &+ 1, ordering: .releasing) }
      return try body(&value)
    }
  }
}
