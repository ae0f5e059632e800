internal import Synchronization

/// Where vCPU threads wait while the machine is paused.
///
/// Safe from any thread. Devices' own threads are not paused.
final class PauseGate: Sendable {
  private struct Pause {
    let ends: Alarm
    let isComplete: Alarm
  }

  private struct State {
    /// vCPU threads between `enter` and `leave`.
    var threadCount = 0
    var waitingCount = 0
    var pause: Pause?

    var isComplete: Bool { waitingCount == threadCount }
  }

  private let state = Mutex(State())
  /// Whether there is a pause; written under the lock. Looked at before every entry into the guest,
  /// where a lock would cost more than all else.
  private let isClosed = Atomic<Bool>(false)

  /// Closes the gate; nothing happens if it is closed.
  ///
  /// - Parameter interrupt: kicks all vCPUs out of the guest.
  /// - Returns: false if a thread was still on its way after 10 seconds; it waits when it comes.
  func close(interrupt: () -> Void) throws(MachineError) -> Bool {
    let pause = Pause(ends: try Alarm(), isComplete: try Alarm())
    let current = state.withLock { state in
      let current = state.pause ?? pause
      state.pause = current
      // Before the kick: a vCPU that misses the kick sees this, one that misses this is kicked out of its
      // next run.
      isClosed.store(true, ordering: .sequentiallyConsistent)
      if state.isComplete { current.isComplete.ring() }
      return current
    }
    interrupt()
    return current.isComplete.wait(seconds: 10)
  }

  /// Opens the gate.
  func open() {
    state.withLock { state in
      state.pause?.ends.ring()
      state.pause = nil
      isClosed.store(false, ordering: .sequentiallyConsistent)
    }
  }

  /// A vCPU thread begins.
  func enter() {
    state.withLock { $0.threadCount += 1 }
  }

  /// A vCPU thread ends.
  func leave() {
    state.withLock { state in
      state.threadCount -= 1
      if state.isComplete { state.pause?.isComplete.ring() }
    }
  }

  /// Waits, on a vCPU's thread, while the gate is closed.
  ///
  /// - Returns: whether it was closed.
  func pass() -> Bool {
    guard isClosed.load(ordering: .sequentiallyConsistent) else { return false }
    let pause = state.withLock { state in
      guard state.pause != nil else { return nil as Pause? }
      state.waitingCount += 1
      if state.isComplete { state.pause?.isComplete.ring() }
      return state.pause
    }
    guard let pause else { return false }
    while !pause.ends.wait(seconds: 3600) {}
    state.withLock { $0.waitingCount -= 1 }
    return true
  }
}
