internal import Glibc

/// A thread that calls a function at a time of the host's wall clock (*CLOCK_REALTIME*), one at a
/// time.
///
/// While no time is set the thread sleeps without a limit. When the host's clock is stepped, the
/// time that is set comes sooner or later with it. Safe from any thread.
package final class WallClockTimer: Sendable {
  private let core = Core()
  private let thread: HostThread

  /// Starts the thread.
  ///
  /// - Parameters:
  ///   - onThreadStart: what the thread does first of all.
  ///   - action: called on the thread when the time has come, with no lock held. It may set the
  ///     next.
  /// - Throws: when the host gives no more threads.
  package init(
    onThreadStart: @escaping @Sendable () -> Void, action: @escaping @Sendable () -> Void
  ) throws(HostThread.Failure) {
    thread = try HostThread { [core] in
      onThreadStart()
      while core.waitForTime() { action() }
    }
  }

  deinit {
    stop()
  }

  /// Sets the time, in nanoseconds since 1970; nil for none. The one before is forgotten.
  package func set(_ nanosecondsSince1970: Int64?) {
    core.set(nanosecondsSince1970)
  }

  /// Ends the thread, and waits for it unless it is the caller. May be called again.
  package func stop() {
    guard core.close() else { return }
    if thread.isCurrent { thread.detach() } else { thread.join() }
  }

  /// How often the thread woke up, whatever for.
  var wakeCount: Int { core.wakeCount }

  /// What the thread and the others share.
  ///
  /// Sendable because every access to `time`, `isClosed` and `wakes` is between
  /// `pthread_mutex_lock` and `pthread_mutex_unlock` of its own mutex.
  @safe private final class Core: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let changed: UnsafeMutablePointer<pthread_cond_t>
    private var time: Int64?
    private var isClosed = false
    private var wakes = 0

    init() {
      unsafe mutex = .allocate(capacity: 1)
      unsafe changed = .allocate(capacity: 1)
      // SAFETY: both are allocated above, never move, and are freed in deinit. The condition's
      // clock is CLOCK_REALTIME, which is every condition's unless set otherwise.
      unsafe pthread_mutex_init(mutex, nil)
      unsafe pthread_cond_init(changed, nil)
    }

    deinit {
      // SAFETY: no thread waits, as one that waits holds a reference.
      unsafe pthread_cond_destroy(changed)
      unsafe pthread_mutex_destroy(mutex)
      unsafe changed.deallocate()
      unsafe mutex.deallocate()
    }

    func set(_ time: Int64?) {
      lock()
      let isNew = time != self.time
      self.time = time
      unlock()
      // After the unlocking: the thread that wakes needs the lock.
      if isNew { unsafe pthread_cond_signal(changed) }
    }

    /// Whether it was open until now.
    func close() -> Bool {
      lock()
      defer { unlock() }
      defer { isClosed = true }
      unsafe pthread_cond_signal(changed)
      return !isClosed
    }

    /// Returns when the time that was set has come, which then is none; false when the timer is
    /// closed.
    func waitForTime() -> Bool {
      lock()
      defer { unlock() }
      while !isClosed {
        guard let time else {
          unsafe pthread_cond_wait(changed, mutex)
          wakes += 1
          continue
        }
        // Times before 1970 have come, too.
        let (seconds, rest) = max(time, 0).quotientAndRemainder(dividingBy: 1_000_000_000)
        var limit = timespec(tv_sec: Int(seconds), tv_nsec: Int(rest))
        // SAFETY: the limit is a local that the call reads.
        let result = unsafe pthread_cond_timedwait(changed, mutex, &limit)
        wakes += 1
        // A time that was set meanwhile is another one.
        if result == ETIMEDOUT, self.time == time {
          self.time = nil
          return true
        }
      }
      return false
    }

    var wakeCount: Int {
      lock()
      defer { unlock() }
      return wakes
    }

    private func lock() {
      unsafe pthread_mutex_lock(mutex)
    }

    private func unlock() {
      unsafe pthread_mutex_unlock(mutex)
    }
  }
}
