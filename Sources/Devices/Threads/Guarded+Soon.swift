internal import Glibc
package import ZeroTracker

extension Guarded {
  /// Runs `body` alone with the value, or gives nil if the lock stays taken: for a look at a device
  /// that may be the one that hangs. No sleep; a holder that was driven off the processor gets it.
  package borrowing func withLockSoon<R>(
    _ body: (inout sending Value) -> sending R
  ) -> sending R? {
    for _ in 0..<1000 {
      if let result = withLockIfAvailable(body) { return result }
      sched_yield()
    }
    return nil
  }
}
