internal import DeviceKit
internal import GuestMemory

/// A ring of commands that the guest fills.
struct NVMeSubmissionQueue: Sendable {
  private(set) var start: GPA
  private(set) var count: UInt32
  private(set) var completionQueue: Int
  var head: UInt32 = 0
  var tail: UInt32 = 0
  /// Commands fetched and not completed. Parked ones are not counted.
  var inFlightCount = 0
  /// Commands to be handed to other threads as they come before one thread polls the queue. Every
  /// queue begins so, and does again when the back-end makes a thread wait.
  var pollHoldOff: Int
  /// A thread polls the queue: it looks for commands again before it does anything that takes
  /// long, so no other is woken.
  var isPolled = false
  /// The tail at which the guest rings the doorbell, if it has shadow doorbells and was told one.
  var eventIndex: UInt32?
  /// The admin command that deletes the queue and waits for those.
  var deletion: NVMeCommand?

  /// Whether all commands that the guest told were fetched.
  var isEmpty: Bool { head == tail }

  init(
    start: GPA, count: UInt32, completionQueue: Int, pollHoldOff: Int = NVMeQueueSet.pollHoldOff
  ) {
    self.pollHoldOff = pollHoldOff
    self.start = start
    self.count = count
    self.completionQueue = completionQueue
  }
}

/// A ring of completions that the guest empties.
struct NVMeCompletionQueue: Sendable {
  private(set) var start: GPA
  private(set) var count: UInt32
  /// Nil if the queue does not interrupt.
  private(set) var vector: Int?
  var head: UInt32 = 0
  var tail: UInt32 = 0
  /// The tag of entries written in this round; it changes with each.
  var phase = true
  /// Entries promised to commands in flight.
  var promisedCount: UInt32 = 0
  /// The head at which the guest rings the doorbell, if it has shadow doorbells and was told one.
  var eventIndex: UInt32?
  /// Commands wait for room.
  var holdsBack = false

  init(start: GPA, count: UInt32, vector: Int?) {
    self.start = start
    self.count = count
    self.vector = vector
  }

  /// Entries that the guest has not taken.
  var occupiedCount: UInt32 { (tail + count - head) % count }

  /// Whether an entry is one of those.
  func isUntaken(_ entry: UInt32) -> Bool {
    (entry + count - head) % count < occupiedCount
  }

  /// Whether one more command may be fetched. One entry stays empty: a full ring would look empty.
  var hasRoom: Bool { occupiedCount + promisedCount < count - 1 }
}

/// The queues of a controller by their identifiers, 0 for the admin pair: a value without a lock.
///
/// A command is fetched only when its completion is sure to find room, so a completion never waits.
struct NVMeQueueSet: Sendable {
  var submission: [NVMeSubmissionQueue?]
  var completion: [NVMeCompletionQueue?]
  /// Where the guest writes doorbells if it does so in its memory.
  var shadows: NVMeShadowDoorbells?
  /// Whether every head is of interest: the pin follows what the guest has taken, messages do not.
  var tellsEachHead = true

  /// After how many commands a thread tries again whether the back-end answers at once: of those
  /// that come in one go the second waits for the first then, so it is to be rare where the answer
  /// is no.
  static let pollHoldOff = 256

  /// What a look into a submission queue gives.
  enum Fetch {
    /// - Parameter isPolled: whether the caller comes back for the others at once.
    case command(NVMeCommand, hasMore: Bool, isPolled: Bool)
    /// No command, or no room for its completion: a doorbell will tell when to look again.
    case nothing
    /// The queue is not in RAM.
    case failed
  }

  /// No queues; `pairCount` can be made beside the admin pair.
  init(pairCount: Int) {
    submission = Array(repeating: nil, count: pairCount + 1)
    completion = Array(repeating: nil, count: pairCount + 1)
  }

  /// Whether there are queues beside the admin pair.
  var hasIOQueues: Bool {
    submission.dropFirst().contains { $0 != nil } || completion.dropFirst().contains { $0 != nil }
  }

  /// The submission queues that complete to a queue.
  func feeders(of queue: Int) -> [Int] {
    submission.indices.filter { submission[$0]?.completionQueue == queue }
  }

  /// Takes the next command, and promises it a completion entry.
  ///
  /// When there is none, or none is left after this one and it may take long, the guest is asked to
  /// ring for the next.
  ///
  /// - Parameter hasWriteCache: whether writes are done without a flush.
  mutating func fetch(
    _ queue: Int, from memory: GuestMemory, hasWriteCache: Bool = true
  ) -> Fetch {
    guard submission.indices.contains(queue), submission[queue]?.deletion == nil,
      findCommands(queue, memory), findRoom(queue, memory), var ring = submission[queue]
    else { return .nothing }
    // Cannot overflow: the whole ring was RAM when it was made, or was looked at by the read below.
    let place = ring.start.advanced(by: UInt64(ring.head) * UInt64(NVMeCommand.byteCount))
    guard let place, let bytes = try? memory.read(at: place, byteCount: NVMeCommand.byteCount)
    else { return .failed }
    ring.head = (ring.head + 1) % ring.count
    ring.inFlightCount += 1
    let command = NVMeCommand(bytes)
    ring.isPolled =
      queue > 0 && ring.pollHoldOff == 0
      && NVMeIOCommands.mayBeQuick(command, hasWriteCache: hasWriteCache)
    ring.pollHoldOff = max(ring.pollHoldOff - 1, 0)
    submission[queue] = ring
    completion[ring.completionQueue]?.promisedCount += 1
    if ring.isPolled {
      takeTailIfEmpty(queue, memory)
      return .command(command, hasMore: submission[queue]?.isEmpty == false, isPolled: true)
    }
    return .command(command, hasMore: findCommands(queue, memory), isPolled: false)
  }

  /// Ends exclusive polling of the queue.
  mutating func leave(_ queue: Int) {
    guard submission.indices.contains(queue) else { return }
    submission[queue]?.isPolled = false
  }

  /// The back-end made a thread wait while others of the queue's commands waited for the thread.
  mutating func holdOffPolling(_ queue: Int) {
    submission[queue]?.pollHoldOff = Self.pollHoldOff
  }

  /// Whether a queue has commands that were not fetched; if not, the guest rings when it has.
  private mutating func findCommands(_ queue: Int, _ memory: GuestMemory) -> Bool {
    takeTailIfEmpty(queue, memory)
    if submission[queue]?.isEmpty == true { armTail(queue, memory) }
    return submission[queue]?.isEmpty == false
  }

  private mutating func takeTailIfEmpty(_ queue: Int, _ memory: GuestMemory) {
    if submission[queue]?.isEmpty == true { takeTail(queue, memory) }
  }

  /// Whether a command of a queue could complete; if not, the guest rings when it can.
  private mutating func findRoom(_ queue: Int, _ memory: GuestMemory) -> Bool {
    guard let target = submission[queue]?.completionQueue, completion[target] != nil else {
      return false
    }
    if completion[target]?.hasRoom == false { takeHead(target, memory) }
    if completion[target]?.hasRoom == false { armHead(target, memory) }
    let hasRoom = completion[target]?.hasRoom == true
    if !hasRoom { completion[target]?.holdsBack = true }
    return hasRoom
  }

  /// Gives back what was promised to a command that will not complete.
  mutating func release(_ queue: Int) {
    guard let ring = submission[queue] else { return }
    submission[queue]?.inFlightCount -= 1
    completion[ring.completionQueue]?.promisedCount -= 1
  }

  /// Writes a command's completion; false if the queue is not in RAM.
  mutating func post(
    _ answer: NVMeAnswer, of command: NVMeCommand, _ queue: Int, to memory: GuestMemory
  ) -> Bool {
    guard let ring = submission[queue], var target = completion[ring.completionQueue] else {
      return true
    }
    let entry = NVMeCompletion(
      answer: answer, submissionHead: UInt16(ring.head), submissionQueue: UInt16(queue),
      identifier: command.identifier)
    let place = target.start.advanced(by: UInt64(target.tail) * UInt64(NVMeCompletion.byteCount))
    guard let place, let last = place.advanced(by: 12) else { return false }
    do {
      try memory.write(entry.head, at: place)
      try memory.store(entry.tail(phase: target.phase), at: last)
    } catch {
      return false
    }
    target.tail = (target.tail + 1) % target.count
    if target.tail == 0 { target.phase.toggle() }
    completion[ring.completionQueue] = target
    followHead(ring.completionQueue, memory)
    return true
  }
}

// While nothing is in flight: no entries are promised, no thread polls, no deletion waits.
extension NVMeSubmissionQueue {
  /// A queue to restore.
  fileprivate init() {
    self.init(start: GPA(0), count: 2, completionQueue: 0)
  }

  fileprivate mutating func transfer(
    _ transfer: inout StateTransfer, queueCount: Int
  ) throws(StateError) {
    try transfer.value(&start)
    try transfer.integer(&count, in: 2...NVMeRegisters.maximumQueueEntryCount)
    try transfer.integer(&completionQueue, in: 0...(queueCount - 1))
    try transfer.integer(&head, in: 0...(count - 1))
    try transfer.integer(&tail, in: 0...(count - 1))
    try transfer.integer(&pollHoldOff, in: 0...NVMeQueueSet.pollHoldOff)
    try transfer.integer(&eventIndex, in: 0...(count - 1))
  }
}

extension NVMeCompletionQueue {
  /// A queue to restore.
  fileprivate init() {
    self.init(start: GPA(0), count: 2, vector: nil)
  }

  fileprivate mutating func transfer(
    _ transfer: inout StateTransfer, vectorCount: Int
  ) throws(StateError) {
    try transfer.value(&start)
    try transfer.integer(&count, in: 2...NVMeRegisters.maximumQueueEntryCount)
    try transfer.optional(&vector, new: 0) { (transfer, vector) throws(StateError) in
      try transfer.integer(&vector, in: 0...(vectorCount - 1))
    }
    try transfer.integer(&head, in: 0...(count - 1))
    try transfer.integer(&tail, in: 0...(count - 1))
    try transfer.flag(&phase)
    try transfer.integer(&eventIndex, in: 0...(count - 1))
    try transfer.flag(&holdsBack)
  }
}

extension NVMeQueueSet {
  mutating func transfer(
    _ transfer: inout StateTransfer, vectorCount: Int
  ) throws(StateError) {
    let queueCount = completion.count
    try transfer.elements(&submission) { (transfer, queue) throws(StateError) in
      try transfer.optional(&queue, new: NVMeSubmissionQueue()) {
        (transfer, queue) throws(StateError) in
        try queue.transfer(&transfer, queueCount: queueCount)
      }
    }
    try transfer.elements(&completion) { (transfer, queue) throws(StateError) in
      try transfer.optional(&queue, new: NVMeCompletionQueue()) {
        (transfer, queue) throws(StateError) in
        try queue.transfer(&transfer, vectorCount: vectorCount)
      }
    }
    for (index, queue) in submission.enumerated() {
      guard let target = queue?.completionQueue else { continue }
      try transfer.check(
        completion[target] != nil && (index == 0) == (target == 0),
        "queue \(index) completes to \(target), which is not there for it")
    }
    try transfer.optional(&shadows, new: NVMeShadowDoorbells()) {
      (transfer, shadows) throws(StateError) in
      try shadows.transfer(&transfer)
    }
    try transfer.flag(&tellsEachHead)
  }
}
