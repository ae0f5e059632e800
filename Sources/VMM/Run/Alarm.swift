internal import Glibc
internal import Synchronization

/// Something threads can wait for with a limit, rung by others. Once rung it stays so.
///
/// Sendable: the descriptors never change, and the kernel serialises their use.
final class Alarm: Sendable {
  /// A pipe, as the importer sees no eventfd: ringing closes no door that a wait could miss.
  private let reading: Int32
  private let writing: Int32
  private let isRung = Atomic(false)

  /// - Throws: `.unavailable` when the process has no more descriptors.
  init() throws(MachineError) {
    var ends: [Int32] = [-1, -1]
    // SAFETY: the call stores two descriptors.
    let result = unsafe pipe(&ends)
    let error = errno
    guard result == 0 else {
      throw .unavailable(
        what: "cannot make a pipe: error \(error)",
        cure: "raise the limit of open files (ulimit -n)")
    }
    (reading, writing) = (ends[0], ends[1])
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
  }

  deinit {
    _ = close(reading)
    _ = close(writing)
  }

  func ring() {
    guard !isRung.exchange(true, ordering: .relaxed) else { return }
    var byte: UInt8 = 1
    // SAFETY: one byte is read. One ring never fills a pipe.
    _ = unsafe write(writing, &byte, 1)
  }

  /// Waits until the alarm rings, or has rung.
  ///
  /// - Returns: false if it did not within the time.
  func wait(seconds: Int) -> Bool {
    let deadline = ContinuousClock.now + .seconds(seconds)
    var event = pollfd(fd: reading, events: Int16(POLLIN), revents: 0)
    while true {
      let left = deadline - .now
      guard left > .zero else { return false }
      // At most a day at a time, so that the milliseconds fit; rounded up, not to spin at the end.
      let milliseconds = min(left.components.seconds, 86_400) * 1000 + 1
      // SAFETY: one descriptor, which the kernel may change during the call only.
      if unsafe poll(&event, 1, Int32(milliseconds)) > 0 { return true }
    }
  }
}
