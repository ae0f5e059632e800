internal import Glibc

/// Processor time of the calling thread.
enum ThreadClock {
  /// User and system time together, in units of 100 ns.
  static func hundredNanoseconds() -> UInt64 {
    var time = timespec()
    guard unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0 else { return 0 }
    return UInt64(time.tv_sec) * 10_000_000 + UInt64(time.tv_nsec) / 100
  }
}
