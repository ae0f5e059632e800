internal import Synchronization

/// What devices and the host use to end a run or start its other vCPUs.
///
/// Made before the machine, so that devices can hold it. Safe from any thread, but not from a signal
/// handler.
public final class MachineControl: Sendable {
  private struct State: Sendable {
    var outcome: MachineOutcome?
    var mayStartSecondaries = true
    var startSecondaries: (@Sendable () -> Void)?
    var interruptAll: (@Sendable () -> Void)?
  }

  private let state = Mutex(State())
  private let ending = Atomic<Bool>(false)

  public init() {}

  /// Ends the run. The first outcome counts.
  public func end(with outcome: MachineOutcome) {
    let interrupt = state.withLock { state in
      if state.outcome == nil { state.outcome = outcome }
      return state.interruptAll
    }
    // Before the kick: a vCPU that misses the kick sees the flag, one that misses the flag is
    // kicked out of its next run.
    ending.store(true, ordering: .sequentiallyConsistent)
    interrupt?()
  }

  /// Lets the other vCPUs enter the guest, as firmware's start-up interrupts do. Once; later calls
  /// do nothing.
  public func startSecondaryVCPUs() {
    let start = state.withLock { state in
      defer { state.mayStartSecondaries = false }
      return state.mayStartSecondaries ? state.startSecondaries : nil
    }
    start?()
  }

  var isEnding: Bool { ending.load(ordering: .sequentiallyConsistent) }

  var outcome: MachineOutcome? { state.withLock { $0.outcome } }

  /// Ties the control to its machine for the time of a run.
  func attach(
    startSecondaries: @escaping @Sendable () -> Void, interruptAll: @escaping @Sendable () -> Void
  ) {
    state.withLock { state in
      state.startSecondaries = startSecondaries
      state.interruptAll = interruptAll
    }
  }

  func detach() {
    state.withLock { state in
      state.mayStartSecondaries = false
      state.startSecondaries = nil
      state.interruptAll = nil
    }
  }
}
