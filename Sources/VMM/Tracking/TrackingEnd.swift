internal import Devices
internal import GuestMemory
internal import Synchronization
internal import ZeroTracker

/// Ends tracking when the policy says so: huge mappings return, and nothing is reported any more.
///
/// Safe from any thread.
final class TrackingEnd: Sendable {
  private let policy: TrackingPolicy
  private let guest: GuestMemory
  /// What else gives the guest its speed back; called once tracking has stopped.
  private let afterwards: @Sendable () -> Void
  /// Runs from the first answer on; most machines of flat programs end without one.
  private let clock = Mutex<(thread: HostThread, runEnds: Alarm)?>(nil)

  init(
    policy: TrackingPolicy, memory: GuestMemory, afterwards: @escaping @Sendable () -> Void
  ) {
    self.policy = policy
    guest = memory
    self.afterwards = afterwards
  }

  /// Notes an answer; the first starts the clock.
  func noteAnswer() {
    guard case .untilAnswered(let seconds) = policy else { return }
    if seconds == 0 { return stop() }
    clock.withLock { clock in
      if clock != nil { return }
      do {
        let runEnds = try Alarm()
        let thread = try HostThread { [self] in
          if !runEnds.wait(seconds: seconds) { stop() }
        }
        clock = (thread, runEnds)
      } catch {
        // Without a clock nobody would end tracking later.
        stop()
      }
    }
  }

  /// Turns the clock off at the end of the run; tracking stays as it is.
  func cancel() {
    guard let clock = clock.withLock({ $0 }) else { return }
    clock.runEnds.ring()
    clock.thread.join()
  }

  private func stop() {
    guard guest.tracker.isTracking else { return }
    // If stopping fails the tracker still reports nothing more, and only the guest's speed suffers.
    try? guest.tracker.stop()
    afterwards()
  }
}
