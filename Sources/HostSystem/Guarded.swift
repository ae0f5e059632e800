internal import Glibc
public import Synchronization

/// A mutex whose hand-over race detectors can follow.
///
/// Under contention the kernel passes a `Mutex` on, which ThreadSanitizer does not see on Linux; it
/// then reports races where there are none. The atomic says the same once more: everything before a
/// release is visible after the acquire that follows it. That costs two unlocked moves on x86-64.
///
/// Inlined into other modules, so that no call asks the runtime for the types it works with.
public struct Guarded<Value>: ~Copyable, Sendable {
  @usableFromInline let mutex: Mutex<Value>
  @usableFromInline let handovers = Atomic<UInt>(0)

  @inlinable
  public init(_ value: consuming sending Value) {
    mutex = Mutex(value)
  }

  /// Runs `body` alone with the value. It must not call itself.
  @inlinable
  public borrowing func withLock<R, E: Error>(
    _ body: (inout sending Value) throws(E) -> sending R
  ) throws(E) -> sending R {
    try mutex.withLock { (value) throws(E) -> sending R in
      let count = handovers.load(ordering: .acquiring)
      // Only the holder of the lock writes it; it may wrap.
      defer { handovers.store(count &+ 1, ordering: .releasing) }
      return try body(&value)
    }
  }

  /// The same, unless another thread has the lock: nil then.
  @inlinable
  public borrowing func withLockIfAvailable<R, E: Error>(
    _ body: (inout sending Value) throws(E) -> sending R
  ) throws(E) -> sending R? {
    try mutex.withLockIfAvailable { (value) throws(E) -> sending R in
      let count = handovers.load(ordering: .acquiring)
      defer { handovers.store(count &+ 1, ordering: .releasing) }
      return try body(&value)
    }
  }

  /// Runs `body` alone with the value, or gives nil if the lock stays taken: for a look at a device
  /// that may be the one that hangs. No sleep; a holder that was driven off the processor gets it.
  public borrowing func withLockSoon<R>(
    _ body: (inout sending Value) -> sending R
  ) -> sending R? {
    for _ in 0..<1000 {
      if let result = withLockIfAvailable(body) { return result }
      sched_yield()
    }
    return nil
  }
}
