package import Glibc

/// poll(2) for loops that serve many descriptors.
package enum PollSet {
  /// Waits until one of `files` is ready, or a time has come.
  ///
  /// - Parameters:
  ///   - time: nanoseconds of the monotonic clock; nil for as long as it takes.
  ///   - now: of the same clock.
  /// - Returns: as poll(2). An error leaves the answers as they were.
  package static func wait(_ files: inout [pollfd], until time: UInt64?, now: UInt64) -> Int32 {
    let timeout: Int32 =
      if let time {
        // Rounded up, so that the time has come.
        Int32(clamping: (max(time, now) - now + 999_999) / 1_000_000)
      } else {
        -1
      }
    // SAFETY: the array lives for the call, which is given its true length.
    return unsafe files.withUnsafeMutableBufferPointer {
      unsafe poll($0.baseAddress, nfds_t($0.count), timeout)
    }
  }
}
