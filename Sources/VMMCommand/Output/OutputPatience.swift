import Glibc
import HostSystem
import Synchronization

/// How long output may wait for those who read it: as long as it takes, until the run is asked to
/// end; then a second at a time, so that a reader that has stopped reading does not delay the end.
final class OutputPatience: Sendable {
  /// What the process writes with: a signal to it shortens this.
  static let ofProcess = OutputPatience()

  /// Long enough for a reader that is only slow: a guest's last words are worth it.
  static let lastMilliseconds: Int32 = 1000

  /// Nil if the process has no descriptors left: then waits end by a signal to their thread.
  private let shortened: Event?
  private let isShort = Atomic(false)

  init() {
    shortened = try? Event()
  }

  /// The run was asked to end. Waits that are under way get the rest of their time.
  func shorten() {
    isShort.store(true, ordering: .sequentiallyConsistent)
    shortened?.raise()
  }

  /// Whether the run was asked to end.
  var isShortened: Bool { isShort.load(ordering: .sequentiallyConsistent) }

  /// Waits until a descriptor takes output, or has failed, as writing to it then shows.
  ///
  /// - Parameter isStalled: the last wait was in vain, and so a short one need not be repeated.
  /// - Returns: false if the time was up.
  func waitForRoom(on descriptor: Int32, isStalled: Bool) -> Bool {
    while !isShortened {
      guard let shortened else {
        var set = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        // SAFETY: the structure lives for the call.
        if unsafe poll(&set, 1, -1) > 0 { return true }
        continue
      }
      if shortened.wait(for: POLLOUT, on: descriptor).events != 0 { return true }
    }
    return Self.events(on: descriptor, within: isStalled ? 0 : Self.lastMilliseconds) != 0
  }

  /// The `POLL` bits of a descriptor once there are any; 0 when the time is up.
  static func events(on descriptor: Int32, within milliseconds: Int32) -> Int16 {
    let end = HostClock.monotonicNanoseconds() + UInt64(milliseconds) * 1_000_000
    while true {
      let now = HostClock.monotonicNanoseconds()
      let rest = end > now ? Int32((end - now + 999_999) / 1_000_000) : 0
      var set = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      // SAFETY: the structure lives for the call.
      let result = unsafe poll(&set, 1, rest)
      if result >= 0 { return set.revents }
      // Other than EINTR, poll fails only for want of kernel memory.
      if errno != EINTR { return 0 }
    }
  }
}
