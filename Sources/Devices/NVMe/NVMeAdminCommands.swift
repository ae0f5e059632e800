internal import GuestMemory
internal import HostSystem

/// How an admin command ends.
enum NVMeAdminOutcome: Hashable, Sendable {
  /// It completes now.
  case answer(NVMeAnswer)
  /// It never does: an event request without an event.
  case parked
  /// It completes when this submission queue's last command has, which then is deleted.
  case afterDrain(queue: Int)
}

/// Carries out commands of the admin queue.
struct NVMeAdminCommands: Sendable {
  let identify: NVMeIdentify
  let history: NVMeHistory
  /// MSI-X vectors there are.
  let vectorCount: Int

  /// What a command answers; it may change queues and features.
  ///
  /// - Parameters:
  ///   - memory: where the guest has its data and queues.
  ///   - usesMSIX: whether a queue may choose its vector.
  func run(
    _ command: NVMeCommand, _ memory: GuestMemory, _ state: borrowing Guarded<NVMeState>,
    usesMSIX: Bool
  ) -> NVMeAdminOutcome {
    do {
      return try execute(command, memory, state, usesMSIX)
    } catch {
      return .answer(.failure(error.status))
    }
  }

  private func execute(
    _ command: NVMeCommand, _ memory: GuestMemory, _ state: borrowing Guarded<NVMeState>,
    _ usesMSIX: Bool
  ) throws(NVMeFailure) -> NVMeAdminOutcome {
    let opcode = NVMeAdminOpcode(rawValue: command.opcode)
    guard NVMeAdminOpcode.all.contains(opcode) else { throw NVMeFailure(.invalidOpcode) }
    guard command.isSupportedForm else { throw NVMeFailure(.invalidField) }
    var answer = NVMeAnswer.success
    switch opcode {
    case .identify:
      let selector = UInt8(truncatingIfNeeded: command.dword(10))
      try send(identify.data(selector: selector, namespace: command.namespace), command, memory)
    case .getLogPage:
      try send(
        NVMeLogPages(history: history, identity: identify.identity).data(command), command, memory)
    case .getFeatures:
      answer.result = try state.withLock { state throws(NVMeFailure) in
        try state.features.get(command)
      }
    case .setFeatures:
      answer.result = try state.withLock { state throws(NVMeFailure) in
        try state.features.set(command, hasIOQueues: state.queues.hasIOQueues)
      }
    case .abort:
      // Bit 0: the command was not aborted. It may be done, or is about to be.
      answer.result = 1
    case .asynchronousEventRequest:
      return try state.withLock { state throws(NVMeFailure) in try park(&state) }
    case .doorbellBufferConfig:
      let shadows = try NVMeShadowDoorbells(command, memory)
      state.withLock { $0.queues.setShadows(shadows, memory) }
    case .deleteSubmissionQueue:
      return try state.withLock { state throws(NVMeFailure) in
        try state.queues.deleteSubmission(command)
      }
    case .deleteCompletionQueue:
      try state.withLock { state throws(NVMeFailure) in
        try state.queues.deleteCompletion(command)
      }
    case .createSubmissionQueue:
      try state.withLock { state throws(NVMeFailure) in
        try state.queues.createSubmission(command, state.registers, memory)
      }
    default:
      let vectors = usesMSIX ? vectorCount : 1
      try state.withLock { state throws(NVMeFailure) in
        try state.queues.createCompletion(command, state.registers, memory, vectors: vectors)
      }
    }
    return .answer(answer)
  }

  private func park(_ state: inout NVMeState) throws(NVMeFailure) -> NVMeAdminOutcome {
    guard state.parkedEventCount < NVMeIdentify.eventRequestLimit else {
      throw NVMeFailure(.eventRequestLimitExceeded)
    }
    state.parkedEventCount += 1
    return .parked
  }

  private func send(
    _ bytes: [UInt8], _ command: NVMeCommand, _ memory: GuestMemory
  ) throws(NVMeFailure) {
    let buffer = try NVMeDataBuffer(
      prp1: command.prp1, prp2: command.prp2, byteCount: bytes.count, memory: memory)
    try buffer.write(bytes, to: memory)
  }
}
