internal import Glibc
internal import Synchronization

/// Lets many writers in at once, or one discard alone.
///
/// A writer is between its mark and its last byte while it is inside. A discard runs while nobody is
/// inside: every writer has then either finished, and its bytes are discarded with the rest, or not
/// begun, and it will mark after the discard made the chunk untouched.
///
/// Why both cannot be inside: the writer raises its counter, then looks at `isClosed`; the discard sets
/// `isClosed`, then looks at the counters. All four are sequentially consistent, so at least one of the
/// two sees the other; it steps back and tries again. The discard steps back fully, so a writer that
/// nests inside another of the same thread never waits for a discard that waits for the outer one.
///
/// Writers pay two locked operations on a counter that threads share only by chance. Discards are rare
/// and poll; a writer that meets one sleeps in short steps.
final class WriterGate: Sendable {
  private let counters = WriterCounters()
  private let isClosed = Atomic<Bool>(false)
  /// One discard at a time.
  private let discards = Mutex(())

  /// Runs `body` as a writer. May nest.
  @inline(__always)
  func write<R: ~Copyable, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    let stripe = enter()
    defer { counters.stripes[stripe].value.subtract(1, ordering: .sequentiallyConsistent) }
    return try body()
  }

  private func enter() -> Int {
    let stripe = WriterCounters.stripeOfThisThread()
    while true {
      counters.stripes[stripe].value.add(1, ordering: .sequentiallyConsistent)
      if !isClosed.load(ordering: .sequentiallyConsistent) { return stripe }
      counters.stripes[stripe].value.subtract(1, ordering: .sequentiallyConsistent)
      while isClosed.load(ordering: .acquiring) { pause(microseconds: 20) }
    }
  }

  /// Runs `body` while no writer is inside.
  ///
  /// - Returns: nil if writers stayed inside for `timeoutMilliseconds`; `body` was not run. So it is,
  ///   too, if the caller itself is a writer.
  func discard<R>(timeoutMilliseconds: Int, _ body: () -> R) -> R? {
    discards.withLock { _ in
      let deadline = ContinuousClock.now + .milliseconds(timeoutMilliseconds)
      while true {
        isClosed.store(true, ordering: .sequentiallyConsistent)
        let result: R? = becomesEmpty() ? body() : nil
        isClosed.store(false, ordering: .sequentiallyConsistent)
        if let result { return result }
        guard ContinuousClock.now < deadline else { return nil }
        pause(microseconds: 100)
      }
    }
  }

  /// Waits a moment for the writers inside to leave; new ones stay out, nested ones wait too, so it must
  /// not wait for long.
  private func becomesEmpty() -> Bool {
    for _ in 0..<50 {
      if counters.areAllZero { return true }
      _ = sched_yield()
    }
    return false
  }

  private func pause(microseconds: UInt32) {
    _ = usleep(microseconds)
  }
}
