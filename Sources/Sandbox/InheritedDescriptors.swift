internal import CLinux
internal import Glibc

/// Descriptors that whoever started the process left open in it, by intent or not.
public enum InheritedDescriptors {
  /// Descriptors looked at one by one; those behind are closed without.
  private static let limit: Int32 = 1024

  /// Closes every descriptor from 3 on that is not close-on-exec, as one that came through execve(2) is
  /// not; so everything the process opened itself has to be.
  ///
  /// - Parameter kept: those that are needed still.
  public static func close(except kept: Set<Int32> = []) {
    for descriptor in Int32(3)..<limit where !kept.contains(descriptor) {
      let flags = fcntl(descriptor, F_GETFD)
      if flags >= 0 && flags & FD_CLOEXEC == 0 { _ = Glibc.close(descriptor) }
    }
    if kept.allSatisfy({ $0 < limit }) {
      // Without close_range (Linux 5.9) they stay: there may be a billion.
      _ = clinux_close_range(UInt32(limit), .max)
    }
  }
}
