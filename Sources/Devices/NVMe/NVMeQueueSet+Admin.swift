internal import GuestMemory

// Queues made and deleted by admin commands (NVMe 1.4 §5.3 to §5.6).
extension NVMeQueueSet {
  /// *Create I/O Completion Queue*.
  mutating func createCompletion(
    _ command: NVMeCommand, _ registers: NVMeRegisters, _ memory: GuestMemory, vectors: Int
  ) throws(NVMeFailure) {
    let queue = try freeIdentifier(command, isTaken: { completion[$0] != nil })
    let (start, count) = try Self.ring(
      command, registers, memory, entryByteCount: NVMeCompletion.byteCount)
    // Interrupts enabled in bit 1, the vector in 31:16.
    let vector = Int(command.dword(11) >> 16)
    let interrupts = command.dword(11) & 2 != 0
    guard !interrupts || vector < vectors else { throw NVMeFailure(.invalidInterruptVector) }
    completion[queue] = NVMeCompletionQueue(
      start: start, count: count, vector: interrupts ? vector : nil)
    adoptHead(queue, memory)
  }

  /// *Create I/O Submission Queue*.
  mutating func createSubmission(
    _ command: NVMeCommand, _ registers: NVMeRegisters, _ memory: GuestMemory
  ) throws(NVMeFailure) {
    let queue = try freeIdentifier(command, isTaken: { submission[$0] != nil })
    let target = Int(command.dword(11) >> 16)
    guard target > 0, target < completion.count else {
      throw NVMeFailure(.invalidQueueIdentifier)
    }
    guard completion[target] != nil else { throw NVMeFailure(.completionQueueInvalid) }
    let (start, count) = try Self.ring(
      command, registers, memory, entryByteCount: NVMeCommand.byteCount)
    submission[queue] = NVMeSubmissionQueue(start: start, count: count, completionQueue: target)
    adoptTail(queue, memory)
  }

  /// *Delete I/O Completion Queue*: no submission queue may use it any more.
  mutating func deleteCompletion(_ command: NVMeCommand) throws(NVMeFailure) {
    let queue = Int(command.dword(10) & 0xFFFF)
    guard queue > 0, queue < completion.count, completion[queue] != nil else {
      throw NVMeFailure(.invalidQueueIdentifier)
    }
    guard feeders(of: queue).isEmpty else { throw NVMeFailure(.invalidQueueDeletion) }
    completion[queue] = nil
  }

  /// *Delete I/O Submission Queue*: commands in flight complete first, those not fetched never do.
  mutating func deleteSubmission(_ command: NVMeCommand) throws(NVMeFailure) -> NVMeAdminOutcome {
    let queue = Int(command.dword(10) & 0xFFFF)
    guard queue > 0, queue < submission.count, let ring = submission[queue],
      ring.deletion == nil
    else { throw NVMeFailure(.invalidQueueIdentifier) }
    guard ring.inFlightCount > 0 else {
      submission[queue] = nil
      return .answer(.success)
    }
    submission[queue]?.deletion = command
    return .afterDrain(queue: queue)
  }

  private func freeIdentifier(
    _ command: NVMeCommand, isTaken: (Int) -> Bool
  ) throws(NVMeFailure) -> Int {
    let queue = Int(command.dword(10) & 0xFFFF)
    guard queue > 0, queue < completion.count, !isTaken(queue) else {
      throw NVMeFailure(.invalidQueueIdentifier)
    }
    return queue
  }

  /// The place and the entries of a new ring: contiguous (bit 0 of dword 11), at a page's border,
  /// RAM.
  private static func ring(
    _ command: NVMeCommand, _ registers: NVMeRegisters, _ memory: GuestMemory,
    entryByteCount: Int
  ) throws(NVMeFailure) -> (GPA, UInt32) {
    let count = (command.dword(10) >> 16) + 1
    guard (2...NVMeRegisters.maximumQueueEntryCount).contains(count),
      registers.hasKnownEntrySizes
    else { throw NVMeFailure(.invalidQueueSize) }
    guard command.dword(11) & 1 == 1 else { throw NVMeFailure(.invalidField) }
    guard command.prp1 % UInt64(NVMeDataBuffer.pageByteCount) == 0 else {
      throw NVMeFailure(.prpOffsetInvalid)
    }
    guard memory.isRAM(GPA(command.prp1), byteCount: Int(count) * entryByteCount) else {
      throw NVMeFailure(.dataTransferError)
    }
    return (GPA(command.prp1), count)
  }
}
