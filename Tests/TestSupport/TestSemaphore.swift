import Glibc

/// A semaphore that threads under any filter may wait at: it sleeps by futex(2).
///
/// Sendable: the memory is there as long as self, and the C library's functions alone use it.
@safe package final class TestSemaphore: @unchecked Sendable {
  private let semaphore: UnsafeMutablePointer<sem_t>

  package init() {
    unsafe semaphore = .allocate(capacity: 1)
    unsafe sem_init(semaphore, 0, 0)
  }

  deinit {
    unsafe sem_destroy(semaphore)
    unsafe semaphore.deallocate()
  }

  package func signal() {
    unsafe sem_post(semaphore)
  }

  /// Returns after a `signal` only: the thread sanitizer sees no other order between the two
  /// threads, as it does not see a `Mutex`.
  package func wait() {
    // The one error is EINTR.
    while unsafe sem_wait(semaphore) != 0 {}
  }

  /// Returns after the time at the latest.
  package func wait(microseconds: Int) {
    var end = timespec()
    // SAFETY: the structure lives for the calls.
    unsafe clock_gettime(CLOCK_REALTIME, &end)
    end.tv_nsec += microseconds * 1000
    end.tv_sec += end.tv_nsec / 1_000_000_000
    end.tv_nsec %= 1_000_000_000
    unsafe sem_timedwait(semaphore, &end)
  }
}
