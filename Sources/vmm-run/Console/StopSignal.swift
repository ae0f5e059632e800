import Glibc
import Synchronization

/// Ends every wait for a descriptor, those to come included.
///
/// A pipe whose one byte is never read, so that poll(2) finds it readable from then on, in however
/// many threads.
final class StopSignal: Sendable {
  /// What a wait found.
  struct Readiness: Equatable {
    var isStopped: Bool
    /// The `POLL` bits of the descriptor; 0 when the time was up or only the signal was raised.
    var events: Int16

    /// Whether any of `events` is there.
    func has(_ events: Int32) -> Bool { self.events & Int16(events) != 0 }
  }

  private let reader: Int32
  private let writer: Int32
  private let raised = Atomic(false)

  init() throws(SystemError) {
    var ends: [Int32] = [-1, -1]
    // SAFETY: the array has room for the two descriptors and lives for the call.
    guard unsafe pipe(&ends) == 0 else {
      throw SystemError("make a pipe for the console", code: errno)
    }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    reader = ends[0]
    writer = ends[1]
  }

  deinit {
    close(reader)
    close(writer)
  }

  var isRaised: Bool { raised.load(ordering: .acquiring) }

  func raise() {
    guard !raised.exchange(true, ordering: .acquiringAndReleasing) else { return }
    var byte: UInt8 = 0
    // SAFETY: one byte, which lives for the call; the empty pipe has room for it.
    _ = unsafe Glibc.write(writer, &byte, 1)
  }

  /// Waits for `events` on a descriptor, for the signal, or for the time to be up.
  ///
  /// - Parameters:
  ///   - descriptor: -1 waits for the signal alone.
  ///   - timeoutMilliseconds: -1 waits for as long as it takes.
  func wait(
    for events: Int32, on descriptor: Int32, timeoutMilliseconds: Int32 = -1
  ) -> Readiness {
    var set = [
      pollfd(fd: descriptor, events: Int16(events), revents: 0),
      pollfd(fd: reader, events: Int16(POLLIN), revents: 0),
    ]
    // SAFETY: the array lives for the call, which is told its true length.
    while unsafe poll(&set, 2, timeoutMilliseconds) < 0 {
      // Other than EINTR, poll fails only for want of kernel memory, which a pause may bring. It
      // needs none to sleep, and the sandbox has no other sleep.
      if errno != EINTR { _ = poll(nil, 0, 10) }
    }
    return Readiness(isStopped: set[1].revents != 0, events: set[0].revents)
  }
}
