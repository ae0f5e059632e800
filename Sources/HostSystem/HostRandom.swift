internal import CLinux
internal import Glibc

/// The host's random numbers (getrandom(2)). Any thread.
package enum HostRandom {
  /// Fills all of `bytes`.
  ///
  /// - Throws: what the system answers, which it does not for a buffer of the process.
  package static func fill(_ bytes: inout MutableRawSpan) throws(Errno) {
    var (done, error) = (0, Errno?.none)
    unsafe bytes.withUnsafeMutableBytes { target in
      while done < target.count, error == nil {
        // SAFETY: the call writes at most the bytes from `done` on.
        let count = unsafe clinux_getrandom(
          target.baseAddress.map { unsafe $0 + done }, target.count - done)
        let current = Errno.current
        if count >= 0 {
          done += count
        } else if current != Errno(EINTR) {
          error = current
        }
      }
    }
    if let error { throw error }
  }
}
