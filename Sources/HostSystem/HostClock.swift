internal import Glibc

/// The host's clocks. Any thread.
package enum HostClock {
  /// Time that only moves on, for intervals.
  @Sendable package static func monotonicNanoseconds() -> UInt64 {
    UInt64(nanoseconds(of: CLOCK_MONOTONIC))
  }

  /// UTC since 1970; it may be stepped.
  @Sendable package static func nanosecondsSince1970() -> Int64 {
    nanoseconds(of: CLOCK_REALTIME)
  }

  /// Processor time of the calling thread, user and system together.
  package static func threadNanoseconds() -> UInt64 {
    UInt64(nanoseconds(of: CLOCK_THREAD_CPUTIME_ID))
  }

  /// What the host's time zone adds to UTC now. Reads a file at the first call.
  package static var utcOffsetSeconds: Int32 {
    var now = time(nil)
    var local = unsafe tm()
    // SAFETY: both are locals of the types that the call reads and fills.
    guard unsafe localtime_r(&now, &local) != nil else { return 0 }
    return unsafe Int32(local.tm_gmtoff)
  }

  private static func nanoseconds(of clock: clockid_t) -> Int64 {
    var time = timespec()
    // SAFETY: a local of the type that the call fills; these clocks are always there.
    _ = unsafe clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}
