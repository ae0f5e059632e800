internal import Synchronization

/// What devices and the host use to end a run or start its other vCPUs.
///
/// Made before the machine, so that devices can hold it. Safe from any thread, but not from a
/// signal handler.
public final class MachineControl: Sendable {
  private struct State: Sendable {
    var outcome: MachineOutcome?
    /// What the guest has reported, and what is told of it.
    var crash: GuestCrash?
    var onCrash: (@Sendable () -> Void)?
    var mayStartSecondaries = true
    var startSecondaries: (@Sendable () -> Void)?
    var interruptAll: (@Sendable () -> Void)?
  }

  private let state = Mutex(State())
  /// Where vCPU threads wait during a pause.
  let gate = PauseGate()
  private let ending = Atomic<Bool>(false)

  /// A control for one machine.
  public init() {}

  /// Ends the run. The first outcome counts; where the guest has reported a crash, that is the
  /// outcome, unless the host fails.
  public func end(with outcome: MachineOutcome) {
    let (interrupt, startSecondaries) = state.withLock { state in
      if state.outcome == nil {
        state.outcome =
          outcome.isHostFailure ? outcome : state.crash.map { .crashed($0) } ?? outcome
      }
      return (state.interruptAll, state.startSecondaries)
    }
    // Before the kick: a vCPU that misses the kick sees the flag, one that misses the flag is
    // kicked out of its next run.
    ending.store(true, ordering: .sequentiallyConsistent)
    interrupt?()
    // Their threads see the flag and end; a kick does not reach them.
    startSecondaries?()
    gate.open(forGood: true)
  }

  /// Notes what the guest reported. The guest goes on for a while: the kernel may yet say why.
  func note(_ crash: GuestCrash) {
    let onCrash = state.withLock { state in
      // One with a message says more.
      if state.crash == nil || (state.crash?.message == nil && crash.message != nil) {
        state.crash = crash
      }
      return state.onCrash
    }
    if let onCrash { onCrash() } else { end(with: .crashed(crash)) }
  }

  /// Has `watch` told of the first crash, in place of the end at once.
  func tellOfCrash(_ watch: @escaping @Sendable () -> Void) {
    state.withLock { $0.onCrash = watch }
  }

  /// Takes all vCPUs out of the guest and keeps them out until `resume` or `end`; returns when none
  /// is in it. Disks finish what they have begun. Not for a vCPU's own thread: it would wait for
  /// itself.
  ///
  /// - Returns: false if a vCPU was still busy after 10 seconds; it will not enter the guest again.
  ///   True, too, when the pause was ended meanwhile, or the run has.
  /// - Throws: `.unavailable` when the process has no more descriptors.
  @discardableResult
  public func pause() throws(MachineError) -> Bool {
    let interrupt = state.withLock { $0.interruptAll }
    return try gate.close { interrupt?() }
  }

  /// Asks the vCPUs of a running machine what they do; waits for `seconds` at most.
  func inspect(
    seconds: Int, registers: [UInt32] = []
  ) throws(MachineError) -> PauseGate.Answers {
    let interrupt = state.withLock { $0.interruptAll }
    return try gate.inspect(seconds: seconds, registers: registers) { interrupt?() }
  }

  /// Lets the vCPUs go on.
  public func resume() {
    gate.open()
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

extension MachineOutcome {
  fileprivate var isHostFailure: Bool {
    guard case .failed(let error) = self else { return false }
    if case .guest = error { return false }
    return true
  }
}

/// How a machine's run ended.
public enum MachineOutcome: Sendable {
  /// The program wrote this value to its exit port.
  case exited(status: UInt32)
  /// The host asked for it.
  case stopped
  /// The guest switched the machine off.
  case poweredOff
  /// The guest reset the machine: by a port or the Hyper-V reset MSR.
  case reset
  /// Triple fault: an exception without a handler. On a PC one of the ways to reset it.
  case tripleFault(vcpuID: UInt32, instructionPointer: UInt64)
  /// The guest reported its own crash by the Hyper-V crash MSRs. It was given time for its last
  /// words.
  case crashed(GuestCrash)
  /// Neither guest nor host asked for the end.
  case failed(MachineError)
}
