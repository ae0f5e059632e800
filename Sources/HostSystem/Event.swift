internal import CLinux
internal import Glibc
internal import Synchronization

/// Something that threads wait for in poll(2), alone or beside a descriptor, raised by others: an
/// eventfd(2).
///
/// Raised, it stays so until it is cleared: a wait that begins later returns at once. Any number of
/// threads may wait. Any thread.
package final class Event: Sendable {
  /// What a wait found.
  package struct Readiness: Equatable {
    package var isRaised: Bool
    /// The `POLL` bits of the descriptor; 0 when the time was up or only the event was raised.
    package var events: Int16

    package init(isRaised: Bool, events: Int16) {
      self.isRaised = isRaised
      self.events = events
    }

    /// Whether any of `events` is there.
    package func has(_ events: Int32) -> Bool { self.events & Int16(events) != 0 }
  }

  private let file: FileDescriptor
  private let raised = Atomic(false)

  /// - Throws: when the process has no more descriptors.
  package init() throws(Errno) {
    file = try FileDescriptor(clinux_eventfd)
  }

  /// Readable while the event is raised: for poll(2) alone.
  package var descriptor: Int32 { file.rawValue }

  package var isRaised: Bool { raised.load(ordering: .acquiring) }

  /// Raises it. Allocates nothing, takes no lock and never waits; may be called again, and in a
  /// signal handler.
  package func raise() {
    guard !raised.exchange(true, ordering: .acquiringAndReleasing) else { return }
    var one: UInt64 = 1
    // SAFETY: eight bytes, which live for the call. The counter has room: it is 0.
    _ = unsafe write(file.rawValue, &one, MemoryLayout<UInt64>.size)
  }

  /// Takes it back, if it is raised. Not while another thread may call `raise`.
  package func clear() {
    guard isRaised else { return }
    var count: UInt64 = 0
    // SAFETY: eight bytes, which live for the call. Reading sets the counter to 0, and never waits.
    _ = unsafe read(file.rawValue, &count, MemoryLayout<UInt64>.size)
    raised.store(false, ordering: .releasing)
  }

  /// Waits until it is raised.
  ///
  /// - Returns: false if it was not within the time.
  package func wait(seconds: Int) -> Bool {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while true {
      let left = deadline - .now
      guard left > .zero else { return false }
      // At most a day at a time, so that the milliseconds fit; rounded up, not to spin at the end.
      let milliseconds = min(left.components.seconds, 86_400) * 1000 + 1
      if wait(for: 0, on: -1, timeoutMilliseconds: Int32(milliseconds)).isRaised { return true }
    }
  }

  /// Waits for `events` on a descriptor, for this event, or for the time to be up.
  ///
  /// - Parameters:
  ///   - descriptor: -1 waits for this event alone.
  ///   - other: an event that ends the wait as well.
  ///   - timeoutMilliseconds: -1 waits for as long as it takes.
  package func wait(
    for events: Int32, on descriptor: Int32, or other: Event? = nil, timeoutMilliseconds: Int32 = -1
  ) -> Readiness {
    var set: [3 of pollfd] = [
      pollfd(fd: descriptor, events: Int16(events), revents: 0),
      pollfd(fd: file.rawValue, events: Int16(POLLIN), revents: 0),
      pollfd(fd: other?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
    ]
    while poll(&set, timeoutMilliseconds) < 0 {
      // Other than EINTR, poll fails only for want of kernel memory, which a pause may bring. It
      // needs none to sleep, and the sandbox has no other sleep.
      if errno != EINTR { _ = Glibc.poll(nil, 0, 10) }
    }
    return Readiness(isRaised: set[1].revents != 0, events: set[0].revents)
  }

  private func poll(_ set: inout [3 of pollfd], _ timeoutMilliseconds: Int32) -> Int32 {
    var elements = set.mutableSpan
    // SAFETY: the array lives for the call, which is given its true length.
    return unsafe elements.withUnsafeMutableBufferPointer {
      unsafe Glibc.poll($0.baseAddress, nfds_t($0.count), timeoutMilliseconds)
    }
  }
}
