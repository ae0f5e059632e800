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
  private let runEnds: Alarm
  private let thread = Mutex<HostThread?>(nil)

  init(
    policy: TrackingPolicy, memory: GuestMemory, afterwards: @escaping @Sendable () -> Void
  ) throws(MachineError) {
    self.policy = policy
    guest = memory
    self.afterwards = afterwards
    runEnds = try Alarm()
  }

  /// Notes an answer; the first starts the clock.
  func noteAnswer() {
    guard case .untilAnswered(let seconds) = policy else { return }
    if seconds == 0 { return stop() }
    thread.withLock { thread in
      if thread != nil { return }
      // Without a thread nobody would end tracking later.
      do throws(HostThread.Failure) {
        thread = try HostThread { [self] in
          if !runEnds.wait(seconds: seconds) { stop() }
        }
      } catch {
        stop()
      }
    }
  }

  /// Turns the clock off at the end of the run; tracking stays as it is.
  func cancel() {
    runEnds.ring()
    thread.withLock { $0 }?.join()
  }

  private func stop() {
    guard guest.tracker.isTracking else { return }
    // If stopping fails the tracker still reports nothing more, and only the guest's speed suffers.
    try? guest.tracker.stop()
    afterwards()
  }
}
