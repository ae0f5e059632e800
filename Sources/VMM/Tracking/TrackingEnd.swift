internal import Devices
internal import GuestMemory
internal import HostSystem
internal import MachineSpecification
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
  private struct Clock: Sendable {
    let thread: HostThread
    /// The first answer, or the end of the run.
    let starts: Event
    let runEnds: Event
  }

  private let clock = Mutex<Clock?>(nil)

  init(
    policy: TrackingPolicy, memory: GuestMemory, afterwards: @escaping @Sendable () -> Void
  ) {
    self.policy = policy
    guest = memory
    self.afterwards = afterwards
  }

  /// Makes the clock, if there is to be one: not when it is needed, because a vCPU's thread, which
  /// answers, may not be allowed to make threads.
  ///
  /// - Parameter onThreadStart: what the clock's thread does first.
  func prepare(onThreadStart: @escaping @Sendable () -> Void) {
    guard case .untilAnswered(let seconds) = policy, seconds > 0 else { return }
    do {
      let (starts, runEnds) = (try Event.ofMachine(), try Event.ofMachine())
      let thread = try HostThread { [self] in
        onThreadStart()
        while !starts.wait(seconds: 3600) {}
        if !runEnds.wait(seconds: seconds) { stop() }
      }
      clock.withLock { $0 = Clock(thread: thread, starts: starts, runEnds: runEnds) }
    } catch {
      // Without a clock the first answer ends tracking.
    }
  }

  /// Notes an answer; the first starts the clock.
  func noteAnswer() {
    guard case .untilAnswered = policy else { return }
    guard let clock = clock.withLock({ $0 }) else { return stop() }
    clock.starts.raise()
  }

  /// Turns the clock off at the end of the run; tracking stays as it is.
  func cancel() {
    guard let clock = clock.withLock({ $0 }) else { return }
    clock.runEnds.raise()
    clock.starts.raise()
    clock.thread.join()
  }

  private func stop() {
    guard guest.tracker.isTracking else { return }
    // If stopping fails the tracker still reports nothing more, and only the guest's speed suffers.
    try? guest.tracker.stop()
    afterwards()
  }
}
