internal import Glibc

/// The host's clocks, as devices take them.
enum HostClock {
  /// Time that only moves on.
  @Sendable static func monotonicNanoseconds() -> UInt64 {
    UInt64(nanoseconds(of: CLOCK_MONOTONIC))
  }

  /// UTC since 1970; it may be stepped.
  @Sendable static func nanosecondsSince1970() -> Int64 {
    nanoseconds(of: CLOCK_REALTIME)
  }

  /// What the host's time zone adds to UTC now.
  static var utcOffsetSeconds: Int32 {
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
