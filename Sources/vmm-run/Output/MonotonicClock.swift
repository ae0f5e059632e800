import Glibc

/// Time that only goes forward, for intervals.
enum MonotonicClock {
  static func nanoseconds() -> UInt64 {
    var time = timespec()
    // SAFETY: the structure lives for the call, which cannot fail for this clock.
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
