internal import HostSystem
internal import KVM
internal import Synchronization

/// Where vCPU threads wait while the machine is paused, and where they say what they are doing when
/// they are asked.
///
/// Safe from any thread. Devices' own threads are not paused.
final class PauseGate: Sendable {
  fileprivate struct Pause {
    let ends: Event
    let isComplete: Event
  }

  /// What `inspect` finds.
  struct Answers {
    /// vCPUs whose threads have ended.
    var ended: VCPUSet
    /// Those that were asked and have not ended since. A thread that began too late is in neither
    /// set.
    var asked: VCPUSet
    /// From those of them that have answered.
    var snapshots: [UInt32: VCPUSnapshot]
  }

  /// A look at all vCPUs.
  fileprivate struct Inspection {
    let isComplete: Event
    /// MSRs that a vCPU's answer is to have.
    let registers: [UInt32]
    /// Those of `asked` that have not answered.
    var pending: VCPUSet
    var asked: VCPUSet
    var answers: [UInt32: VCPUSnapshot]
  }

  /// A look at all that vCPUs are, during a pause.
  fileprivate struct Collection {
    let isComplete: Event
    /// Those that have not delivered.
    var pending: VCPUSet
    /// Nil if they only finish what they have begun.
    let parts: VCPUStateParts?
    var states: [UInt32: VCPUState] = [:]
    var failure: KVMError?
  }

  fileprivate struct State {
    /// The run has begun: whoever is to run from the start is present, or has ended.
    var hasBegun = false
    /// vCPUs whose threads are between `enter` and `leave`.
    var present = VCPUSet()
    /// vCPUs whose threads have come by `leave`.
    var ended = VCPUSet()
    /// Those that wait, with what they were doing; nil if KVM did not tell.
    var waiting: [UInt32: VCPUSnapshot?] = [:]
    var pause: Pause?
    var inspection: Inspection?
    var collection: Collection?
    /// The pause has to last: `open` waits for the end of that.
    var isHeld = false
    var opensLater = false
    /// No pause begins any more.
    var isOver = false

    var isComplete: Bool { waiting.count == present.count }
    var isClosed: Bool { pause != nil || inspection?.pending.isEmpty == false }
  }

  private let state = Guarded(State())
  /// `State.isClosed`, written under the lock. Looked at before every entry into the guest, where a
  /// lock would cost more than all else.
  private let isClosed = Atomic<Bool>(false)
  /// One inspection at a time.
  private let inspecting = Mutex(())

  /// Closes the gate; nothing happens if it is closed.
  ///
  /// - Parameter interrupt: kicks all vCPUs out of the guest.
  /// - Returns: false if a thread was still on its way after `seconds`; it waits when it comes.
  ///   True, too, when the gate was opened meanwhile, or is open for good.
  func close(seconds: Int = 10, interrupt: () -> Void) throws(MachineError) -> Bool {
    let pause = Pause(ends: try Event.ofMachine(), isComplete: try Event.ofMachine())
    let current = state.withLock { state -> Pause? in
      // A thread that came to it later would wait for ever.
      guard !state.isOver else { return nil }
      // A pause that comes after a resume wins over it, also while the gate is held.
      state.opensLater = false
      let current = state.pause ?? pause
      state.pause = current
      // Before the kick: a vCPU that misses the kick sees this, one that misses this is kicked out
      // of its next run.
      publish(state)
      if state.isComplete { current.isComplete.raise() }
      return current
    }
    guard let current else { return true }
    interrupt()
    return current.isComplete.wait(seconds: seconds)
  }

  /// Opens the gate. Who waits for it to be complete waits no longer. While the gate is held it
  /// opens later, unless it is for good.
  ///
  /// - Parameter forGood: it is never closed again.
  func open(forGood: Bool = false) {
    state.withLock { state in
      guard forGood || !state.isHeld else {
        state.opensLater = true
        return
      }
      if forGood { state.isOver = true }
      state.collection?.isComplete.raise()
      state.collection = nil
      state.pause?.ends.raise()
      state.pause?.isComplete.raise()
      state.pause = nil
      publish(state)
    }
  }

  /// Holds a gate that is closed, with all vCPUs at it: nobody opens it until `release`. Waits for
  /// the run to begin, and for vCPUs that began since the gate was closed.
  ///
  /// - Returns: false if it is not closed, or held by another, or a thread does not come within
  ///   `seconds`.
  func hold(seconds: Int = 10) -> Bool {
    while true {
      let (isHeld, missing) = state.withLock { state -> (Bool, Event?) in
        guard let pause = state.pause, !state.isHeld, !state.isOver else { return (false, nil) }
        guard state.hasBegun, state.isComplete else {
          pause.isComplete.clear()
          return (false, pause.isComplete)
        }
        state.isHeld = true
        state.opensLater = false
        return (true, nil)
      }
      guard let missing else { return isHeld }
      guard missing.wait(seconds: seconds) else { return false }
    }
  }

  /// Ends `hold`; the gate opens if somebody has asked for that meanwhile.
  ///
  /// - Parameter staysClosed: whatever was asked meanwhile counts no more.
  func release(staysClosed: Bool = false) {
    let opens = state.withLock { state in
      defer { (state.isHeld, state.opensLater) = (false, false) }
      return state.opensLater && !staysClosed
    }
    if opens { open() }
  }

  /// Whether the gate will not close any more: the run ends.
  var isOver: Bool { state.withLock { $0.isOver } }

  /// Asks all vCPUs what they are, at a gate that is held.
  ///
  /// - Parameter parts: what is wanted; nil to have them only finish the instruction of their last
  ///   exit, which may access devices once more. The states are empty then.
  /// - Returns: nil if the run ends meanwhile, or a thread does not come within 10 seconds.
  func collect(
    _ parts: VCPUStateParts?
  ) throws(MachineError) -> [UInt32: VCPUState]? {
    let next = Pause(ends: try Event.ofMachine(), isComplete: try Event.ofMachine())
    let isComplete = try Event.ofMachine()
    let isAsked = state.withLock { state in
      guard let pause = state.pause, state.isHeld else { return false }
      state.collection = Collection(
        isComplete: isComplete, pending: state.present, parts: parts)
      if state.present.isEmpty { isComplete.raise() }
      // Sends the threads around once: the gate stays closed, and they find the next pause.
      state.pause = next
      pause.ends.raise()
      pause.isComplete.raise()
      return true
    }
    guard isAsked, isComplete.wait(seconds: 10) else { return nil }
    let collection = state.withLock { state in
      defer { state.collection = nil }
      return state.collection
    }
    guard let collection, collection.pending.isEmpty else { return nil }
    if let failure = collection.failure { throw .kvm(failure) }
    return collection.states
  }

  /// On a vCPU's thread, when `pass` asked for it.
  func deliver(_ id: UInt32, _ result: Result<VCPUState, KVMError>) {
    state.withLock { $0.endCollection(of: id, with: result) }
  }

  /// Asks all vCPUs what they are doing, also while they are paused.
  ///
  /// - Parameters:
  ///   - registers: MSRs to read. A vCPU that waits already does not, and answers without.
  ///   - interrupt: kicks all vCPUs out of the guest.
  /// - Returns: with the snapshots that came within `seconds`: none comes from a thread that waits
  ///   inside a device.
  func inspect(
    seconds: Int, registers: [UInt32] = [], interrupt: () -> Void
  ) throws(MachineError) -> Answers {
    let isComplete = try Event.ofMachine()
    return inspecting.withLock { _ in
      let isWaited = state.withLock { state in
        let inspection = Inspection(
          isComplete: isComplete, registers: registers,
          pending: state.present.filter { state.waiting[$0] == nil },
          asked: state.present, answers: state.waiting.compactMapValues { $0 })
        state.inspection = inspection
        publish(state)
        return !inspection.pending.isEmpty
      }
      if isWaited {
        interrupt()
        _ = isComplete.wait(seconds: seconds)
      }
      return state.withLock { state in
        defer {
          state.inspection = nil
          publish(state)
        }
        return Answers(
          ended: state.ended, asked: state.inspection?.asked ?? VCPUSet(),
          snapshots: state.inspection?.answers ?? [:])
      }
    }
  }

  /// The run begins with these vCPUs, before their threads are made: a pause waits for all of them,
  /// however late they come. The first that each thread does is `pass`.
  func begin(_ ids: some Sequence<UInt32>) {
    for id in ids { enter(id) }
    state.withLock { $0.hasBegun = true }
  }

  /// A vCPU is about to run; the first that its thread does is `pass`. Without effect for one that
  /// is there, or has ended.
  func enter(_ id: UInt32) {
    state.withLock { state in
      guard !state.present.contains(id), !state.ended.contains(id) else { return }
      state.present.insert(id)
      // Whoever waits for all of them waits for it, too.
      state.pause?.isComplete.clear()
      // It answers before it enters the guest, unless all others have: then the inspection is over.
      guard state.inspection?.pending.isEmpty == false else { return }
      state.inspection?.asked.insert(id)
      state.inspection?.pending.insert(id)
    }
  }

  /// A vCPU's thread ends.
  func leave(_ id: UInt32) {
    state.withLock { state in
      state.present.remove(id)
      state.ended.insert(id)
      state.inspection?.asked.remove(id)
      state.answerInspection(id, nil)
      state.endCollection(of: id, with: nil)
      publish(state)
      if state.isComplete { state.pause?.isComplete.raise() }
    }
  }

  /// What `pass` found.
  enum Passage {
    /// Nothing: the guest may be entered.
    case open
    /// The gate was closed, and has to be passed again.
    case closed
    /// It is closed, and the vCPU's state is wanted: `deliver` it, then pass again.
    case delivers(VCPUStateParts?)
  }

  /// On a vCPU's thread: says what the vCPU is doing if that is asked, and waits while there is a
  /// pause.
  ///
  /// - Parameter snapshot: what the vCPU is doing, with the MSRs it is given; nil if KVM does not
  ///   tell.
  func pass(_ id: UInt32, snapshot: ([UInt32]) -> VCPUSnapshot?) -> Passage {
    guard isClosed.load(ordering: .sequentiallyConsistent) else { return .open }
    let snapshot = snapshot(state.withLock { $0.inspection?.registers ?? [] })
    let (pause, passage) = state.withLock { state -> (Pause?, Passage) in
      state.answerInspection(id, snapshot)
      publish(state)
      guard state.pause != nil else { return (nil, .closed) }
      if let collection = state.collection, collection.pending.contains(id) {
        return (nil, .delivers(collection.parts))
      }
      state.waiting[id] = .some(snapshot)
      if state.isComplete { state.pause?.isComplete.raise() }
      return (state.pause, .closed)
    }
    guard let pause else { return passage }
    while !pause.ends.wait(seconds: 3600) {}
    state.withLock { state in _ = state.waiting.removeValue(forKey: id) }
    return .closed
  }

  /// Under the lock.
  private func publish(_ state: State) {
    isClosed.store(state.isClosed, ordering: .sequentiallyConsistent)
  }
}

extension PauseGate.State {
  /// Takes what a vCPU delivers, if it is asked for; nil from one that ends. The last one completes
  /// the collection.
  fileprivate mutating func endCollection(
    of id: UInt32, with result: Result<VCPUState, KVMError>?
  ) {
    guard collection?.pending.remove(id) == true else { return }
    switch result {
    case .success(let vcpu): collection?.states[id] = vcpu
    case .failure(let error): collection?.failure = error
    case nil: break
    }
    if collection?.pending.isEmpty == true { collection?.isComplete.raise() }
  }

  /// Takes a vCPU's answer, if it owes one; the last one completes the inspection.
  fileprivate mutating func answerInspection(_ id: UInt32, _ snapshot: VCPUSnapshot?) {
    guard inspection?.pending.remove(id) == true else { return }
    inspection?.answers[id] = snapshot
    if inspection?.pending.isEmpty == true { inspection?.isComplete.raise() }
  }
}
