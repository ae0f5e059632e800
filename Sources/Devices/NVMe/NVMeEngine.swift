internal import DeviceKit
internal import GuestMemory
internal import HostSystem

/// The part of a controller that its I/O threads work on: registers, queues, commands.
///
/// Lock order: `state`, then those of the endpoint; no command runs under `state`,
/// and no work is posted: a thread that wakes takes `state` at once.
final class NVMeEngine: Sendable {
  let endpoint: PCIEndpoint
  let admin: NVMeAdminCommands
  let io: NVMeIOCommands
  let work: WorkList
  let state: Guarded<NVMeState>
  /// How often the controller has stopped: `reset` sleeps on it.
  let stopCount = FutexWord()
  private let history: NVMeHistory
  private let pairCount: Int

  init(
    endpoint: PCIEndpoint, store: any BlockStore, identify: NVMeIdentify, history: NVMeHistory,
    pairCount: Int
  ) {
    self.endpoint = endpoint
    self.pairCount = pairCount
    self.history = history
    admin = NVMeAdminCommands(
      identify: identify, history: history, vectorCount: endpoint.vectorCount)
    io = NVMeIOCommands(store: store, history: history)
    work = WorkList(count: pairCount + 1)
    state = Guarded(NVMeState(pairCount: pairCount))
  }

  /// Wakes threads for queues. Not under `state`: a thread that wakes takes it at once, and on a
  /// busy host it runs before this one goes on.
  func addWork(_ queues: [Int]) {
    for queue in queues { work.add(queue) }
  }

  // MARK: I/O threads

  /// Serves queues until the work list is closed.
  func serveQueues() {
    while let queue = work.next() { serve(queue) }
  }

  /// Serves on the calling thread what waits, and what that wakes: an engine without threads does
  /// the same at every run, which fuzzing needs.
  func serveWaitingQueues() {
    while let queue = work.nextIfWaiting() { serve(queue) }
  }

  /// Carries out commands of a queue, until there are none or other queues have waited long enough.
  private func serve(_ queue: Int) {
    var turn = NVMeQueueTurn()
    while turn.hasTime, !work.isAtRest {
      guard let fetched = fetch(queue) else {
        signal(&turn)
        return
      }
      // What is done is not to wait for something that may take long.
      if !fetched.isPolled { signal(&turn) }
      let outcome = noting(
        fetched.command, of: queue,
        queue > 0
          ? .answer(io.run(fetched.command, fetched.memory, hasWriteCache: fetched.hasWriteCache))
          : admin.run(fetched.command, fetched.memory, state, usesMSIX: endpoint.usesMSIX))
      turn.count(
        byteCount: io.byteCount(fetched.command), finish(fetched, of: queue, outcome))
      if turn.mustSignal || !fetched.isPolled || !fetched.hasMore { signal(&turn) }
      if fetched.isPolled, fetched.hasMore, turn.hasSlept() {
        state.withLock { $0.queues.holdOffPolling(queue) }
      }
    }
    signal(&turn)
    state.withLock { $0.queues.leave(queue) }
    work.add(queue)
  }

  /// Puts a failure into the error log, and tells in its status that it is there.
  private func noting(
    _ command: NVMeCommand, of queue: Int, _ outcome: NVMeAdminOutcome
  ) -> NVMeAdminOutcome {
    guard case .answer(var answer) = outcome, answer.status != .success else { return outcome }
    answer.status = answer.status.withMore
    history.note(answer.status, of: command, queue: queue)
    return .answer(answer)
  }

  private func signal(_ turn: inout NVMeQueueTurn) {
    for vector in turn.takeVectors() { endpoint.signal(vector) }
  }

  private struct Fetched {
    let command: NVMeCommand
    /// What the function could reach when it was fetched; a command that has begun ends.
    let memory: GuestMemory
    let hasMore: Bool
    let isPolled: Bool
    let hasWriteCache: Bool
  }

  /// Takes one command of a queue, if there is one that can complete.
  private func fetch(_ queue: Int) -> Fetched? {
    let fetched: Fetched? = state.withLock { state in
      guard state.isRunning, let memory = endpoint.memory else {
        state.queues.leave(queue)
        return nil
      }
      let hasWriteCache = state.features.hasWriteCache
      switch state.queues.fetch(queue, from: memory, hasWriteCache: hasWriteCache) {
      case .nothing:
        state.queues.leave(queue)
        return nil
      case .failed:
        state.registers.isFailed = true
        state.queues.leave(queue)
        return nil
      case .command(let command, let hasMore, let isPolled):
        state.inFlightCount += 1
        return Fetched(
          command: command, memory: memory, hasMore: hasMore, isPolled: isPolled,
          hasWriteCache: hasWriteCache)
      }
    }
    // The next free thread takes the next one: commands of a queue run side by side, unless one
    // thread is quicker alone than another wakes up.
    if let fetched, fetched.hasMore, !fetched.isPolled { work.add(queue) }
    return fetched
  }

  /// Completes a command.
  ///
  /// - Returns: the vectors to signal.
  private func finish(
    _ fetched: Fetched, of queue: Int, _ outcome: NVMeAdminOutcome
  ) -> [Int] {
    let (vectors, waiting): ([Int], [Int]) = state.withLock { state in
      var vectors: [Int] = []
      var waiting: [Int] = []
      switch outcome {
      case .afterDrain:
        // It stays in flight until the other queue's last command is here.
        return ([], [])
      case .answer(let answer):
        post(answer, fetched.command, queue, fetched.memory, &state, &vectors)
      case .parked:
        retire(queue, &state)
      }
      // A promised place may be free again, or a shadow doorbell told that the guest has taken
      // some.
      if let ring = state.queues.submission[queue] {
        waiting += state.queues.wakeable(ring.completionQueue)
      }
      if let ring = state.queues.submission[queue], ring.inFlightCount == 0,
        let deletion = ring.deletion
      {
        state.queues.submission[queue] = nil
        post(.success, deletion, 0, fetched.memory, &state, &vectors)
      }
      if state.isStopping, state.inFlightCount == 0 { finishStop(&state) }
      updatePin(state)
      return (vectors, waiting)
    }
    addWork(waiting)
    return vectors
  }

  /// Completes a command, unless a reset came in between.
  private func post(
    _ answer: NVMeAnswer, _ command: NVMeCommand, _ queue: Int, _ memory: GuestMemory,
    _ state: inout NVMeState, _ vectors: inout [Int]
  ) {
    retire(queue, &state)
    guard state.isRunning, let ring = state.queues.submission[queue] else { return }
    guard state.queues.post(answer, of: command, queue, to: memory) else {
      state.registers.isFailed = true
      return
    }
    if let vector = state.queues.completion[ring.completionQueue]?.vector {
      vectors.append(vector)
    }
  }

  private func retire(_ queue: Int, _ state: inout NVMeState) {
    state.inFlightCount -= 1
    state.queues.release(queue)
  }

  // MARK: Enable and disable

  /// *CC.EN* became 1.
  func start(_ state: inout NVMeState) {
    // While commands of the time before are in flight, `finishStop` starts.
    guard !state.isStopping else { return }
    let registers = state.registers
    guard registers.isValidSetup else {
      state.registers.isFailed = true
      return
    }
    state.queues.completion[0] = NVMeCompletionQueue(
      start: GPA(registers.adminCompletionQueue), count: registers.adminCompletionCount, vector: 0)
    state.queues.submission[0] = NVMeSubmissionQueue(
      start: GPA(registers.adminSubmissionQueue), count: registers.adminSubmissionCount,
      completionQueue: 0)
    state.registers.isShutDown = false
    state.registers.isReady = true
  }

  /// *CC.EN* became 0: nothing is fetched or completed any more, and when the last command in
  /// flight has left guest memory alone, *CSTS.RDY* becomes 0.
  func stop(_ state: inout NVMeState) {
    state.isStopping = true
    if state.inFlightCount == 0 { finishStop(&state) }
  }

  /// *CC* and the admin queues' registers stay, all else is as new; after a reset of the function
  /// everything is.
  private func finishStop(_ state: inout NVMeState) {
    defer {
      stopCount.add(1)
      stopCount.wakeAll()
    }
    if state.isFunctionReset {
      state = NVMeState(pairCount: pairCount)
      endpoint.configuration.endFunctionReset()
      return
    }
    var registers = state.registers
    registers.isReady = false
    registers.isFailed = false
    registers.isShutDown = false
    registers.interruptMask = 0
    let tellsEachHead = state.queues.tellsEachHead
    state = NVMeState(pairCount: pairCount)
    state.registers = registers
    state.queues.tellsEachHead = tellsEachHead
    // New queues get what is right then.
    state.asksForHeads = tellsEachHead
    if registers.isEnabled { start(&state) }
  }

  /// The pin asks for attention while a queue that interrupts has completions, and MSI-X is off.
  func updatePin(_ state: borrowing NVMeState) {
    let mask = state.registers.interruptMask
    let wants = state.queues.completion.contains { ring in
      guard let ring, let vector = ring.vector, ring.occupiedCount > 0 else { return false }
      return vector >= 32 || mask >> UInt32(vector) & 1 == 0
    }
    // Not `endpoint.usesMSIX`: its lock is held while a message is sent, which wakes a vCPU, which
    // rings a doorbell and comes here.
    endpoint.setPin(wants && state.queues.tellsEachHead)
  }
}

/// What all threads of a controller share, under one lock.
struct NVMeState: Sendable {
  var registers = NVMeRegisters()
  var queues: NVMeQueueSet
  var features: NVMeFeatures
  /// Whether event indices ask for each head: `queues.tellsEachHead`, as soon as memory is in
  /// reach.
  var asksForHeads = true
  /// Event requests that wait for an event, which never comes.
  var parkedEventCount = 0
  /// Commands fetched and not finished.
  var inFlightCount = 0
  /// *CC.EN* became 0 and commands are still in flight: *CSTS.RDY* waits for them.
  var isStopping = false
  /// The whole function is reset, and answers again when those commands are done.
  var isFunctionReset = false

  init(pairCount: Int) {
    queues = NVMeQueueSet(pairCount: pairCount)
    features = NVMeFeatures(pairCount: pairCount)
  }

  /// Whether queues are served.
  var isRunning: Bool {
    registers.isReady && !isStopping && !registers.isFailed
  }

  /// Follows whether MSI-X is on.
  ///
  /// - Parameter memory: where the guest is asked for its heads; nil while it is out of reach, and
  ///   this comes again when it no longer is.
  mutating func usesMSIX(_ isEnabled: Bool, _ memory: GuestMemory?) {
    queues.tellsEachHead = !isEnabled
    guard let memory, asksForHeads == isEnabled else { return }
    asksForHeads = !isEnabled
    for queue in queues.completion.indices where queues.completion[queue] != nil {
      queues.completion[queue]?.eventIndex = nil
      queues.followHead(queue, memory)
    }
  }
}

extension NVMeState {
  fileprivate mutating func transfer(
    _ transfer: inout StateTransfer, vectorCount: Int
  ) throws(StateError) {
    // A stop waits for commands too.
    guard inFlightCount == 0, !isStopping else { throw .busy("commands are in flight") }
    try registers.transfer(&transfer)
    try queues.transfer(&transfer, vectorCount: vectorCount)
    try features.transfer(&transfer)
    try transfer.flag(&asksForHeads)
    try transfer.integer(&parkedEventCount, in: 0...NVMeIdentify.eventRequestLimit)
    let hasAdminQueues = queues.submission[0] != nil && queues.completion[0] != nil
    try transfer.check(registers.isReady == hasAdminQueues, "a controller that is half enabled")
  }
}

extension NVMeEngine {
  /// Saves or restores it, while no command runs.
  func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try state.withLock { [endpoint] state throws(StateError) in
      try state.transfer(&transfer, vectorCount: endpoint.vectorCount)
      if transfer.isRestoring { updatePin(state) }
    }
    try history.transfer(&transfer)
  }

  /// Has the queues served in which there may be commands already: those of a restored controller.
  func serveRestoredQueues() {
    addWork(
      state.withLock { state in
        state.queues.submission.indices.filter { state.queues.submission[$0] != nil }
      })
  }
}
