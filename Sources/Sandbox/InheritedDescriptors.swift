internal import CLinux
internal import Glibc

/// Descriptors that the parent process left open in this one, by intent or not.
public enum InheritedDescriptors {
  /// Descriptors looked at one by one; those behind are closed without.
  private static let limit: Int32 = 1024

  /// Closes every descriptor from 3 on that is not close-on-exec, as one that came through
  /// execve(2) is not; so everything the process opened itself has to be.
  ///
  /// - Parameter kept: those that are needed still.
  public static func close(except kept: Set<Int32> = []) {
    for descriptor in open where !kept.contains(descriptor) {
      let flags = fcntl(descriptor, F_GETFD)
      if flags >= 0 && flags & FD_CLOEXEC == 0 { _ = Glibc.close(descriptor) }
    }
    if kept.allSatisfy({ $0 < limit }) {
      // Without close_range (Linux 5.9) they stay: there may be a billion.
      _ = clinux_close_range(UInt32(limit), .max)
    }
  }

  /// Those from 3 to the limit: one call of poll(2) finds them, and needs no /proc.
  private static var open: [Int32] {
    var events = (3..<limit).map { pollfd(fd: $0, events: 0, revents: 0) }
    // SAFETY: the array lives for the call, with its true length.
    let result = unsafe poll(&events, nfds_t(events.count), 0)
    // The limit of open files may be lower than that: then each is tried.
    guard result >= 0 else { return Array(3..<limit) }
    return events.filter { $0.revents & Int16(POLLNVAL) == 0 }.map(\.fd)
  }
}
