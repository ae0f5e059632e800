internal import GuestMemory

// Doorbells: those in registers, and those in guest memory.
extension NVMeQueueSet {
  // MARK: Registers

  /// Follows a submission queue's tail doorbell; false if there is no such queue or place in it.
  ///
  /// Where there is a shadow doorbell, that is what counts, as it may be ahead of the register.
  mutating func ringTail(_ queue: Int, _ tail: UInt32, _ memory: GuestMemory?) -> Bool {
    if hasShadow(queue) { return memory.map { takeTail(queue, $0) } ?? false }
    guard setTail(queue, tail) else { return false }
    if queue == 0, let memory { tellAdmin(memory) }
    return true
  }

  /// Follows a completion queue's head doorbell.
  ///
  /// - Returns: the submission queues whose commands waited for room.
  mutating func ringHead(_ queue: Int, _ head: UInt32, _ memory: GuestMemory?) -> [Int] {
    if hasShadow(queue) {
      guard let memory else { return [] }
      takeHead(queue, memory)
      if tellsEachHead || completion[queue]?.holdsBack == true { armHead(queue, memory) }
    } else {
      setHead(queue, head)
      if queue == 0, let memory { tellAdmin(memory) }
    }
    guard completion.indices.contains(queue) else { return [] }
    return wakeable(queue)
  }

  /// The queues that wait for room in a completion queue, if there is some now.
  mutating func wakeable(_ queue: Int) -> [Int] {
    guard completion[queue]?.holdsBack == true, completion[queue]?.hasRoom == true else {
      return []
    }
    completion[queue]?.holdsBack = false
    return feeders(of: queue)
  }

  // MARK: Shadows

  /// *Doorbell Buffer Config*: from now on the pages' values count.
  mutating func setShadows(_ shadows: NVMeShadowDoorbells, _ memory: GuestMemory) {
    self.shadows = shadows
    for queue in submission.indices {
      if submission[queue] != nil { adoptTail(queue, memory) }
      if completion[queue] != nil { adoptHead(queue, memory) }
    }
    tellAdmin(memory)
  }

  /// Has the guest ring for each step of the admin queues.
  private func tellAdmin(_ memory: GuestMemory) {
    guard let shadows, let tail = submission[0]?.tail, let head = completion[0]?.head else {
      return
    }
    shadows.setEventIndex(tail, .tail, of: 0, in: memory)
    shadows.setEventIndex(head, .head, of: 0, in: memory)
  }

  /// A queue's entries begin with what the controller knows, also if they are left of a queue that
  /// was there before.
  mutating func adoptTail(_ queue: Int, _ memory: GuestMemory) {
    guard hasShadow(queue), let tail = submission[queue]?.tail else { return }
    shadows?.setValue(tail, .tail, of: queue, in: memory)
    submission[queue]?.eventIndex = nil
    armTail(queue, memory)
  }

  /// The same for a completion queue.
  mutating func adoptHead(_ queue: Int, _ memory: GuestMemory) {
    guard hasShadow(queue), let head = completion[queue]?.head else { return }
    shadows?.setValue(head, .head, of: queue, in: memory)
    completion[queue]?.eventIndex = nil
    followHead(queue, memory)
  }

  /// Looks for commands; false if the value is no place in the queue.
  @discardableResult
  mutating func takeTail(_ queue: Int, _ memory: GuestMemory) -> Bool {
    guard hasShadow(queue), let tail = shadows?.value(.tail, of: queue, in: memory) else {
      return false
    }
    return setTail(queue, tail)
  }

  /// Asks the guest to ring at its next command, and takes those that came too early for that.
  mutating func armTail(_ queue: Int, _ memory: GuestMemory) {
    guard hasShadow(queue), let ring = submission[queue] else { return }
    if ring.eventIndex != ring.tail {
      submission[queue]?.eventIndex = ring.tail
      shadows?.setEventIndex(ring.tail, .tail, of: queue, in: memory)
    }
    takeTail(queue, memory)
  }

  /// Looks for completions that the guest has taken.
  mutating func takeHead(_ queue: Int, _ memory: GuestMemory) {
    guard hasShadow(queue), let head = shadows?.value(.head, of: queue, in: memory) else { return }
    setHead(queue, head)
  }

  /// Asks the guest to ring when it takes its next completion, and sees those that it has taken
  /// already.
  mutating func armHead(_ queue: Int, _ memory: GuestMemory) {
    guard hasShadow(queue) else { return }
    // A head that moved meanwhile leaves the index behind, where no later step passes it. Ends, as
    // heads only move on to the tail.
    while let ring = completion[queue] {
      if ring.eventIndex != ring.head {
        completion[queue]?.eventIndex = ring.head
        shadows?.setEventIndex(ring.head, .head, of: queue, in: memory)
      }
      takeHead(queue, memory)
      if completion[queue]?.head == ring.head { return }
    }
  }

  /// After a completion: keeps the guest from ringing for heads that nothing waits for, or asks
  /// it to.
  ///
  /// The index stays just behind the head; a guest that takes all there is never steps over it. It
  /// is moved on when the tail has come round to it, so once in a ring's round.
  mutating func followHead(_ queue: Int, _ memory: GuestMemory) {
    guard hasShadow(queue), let ring = completion[queue] else { return }
    guard !tellsEachHead, !ring.holdsBack else {
      armHead(queue, memory)
      return
    }
    if let index = ring.eventIndex, !ring.isUntaken(index), index != ring.tail { return }
    takeHead(queue, memory)
    guard let head = completion[queue]?.head else { return }
    let index = (head + ring.count - 1) % ring.count
    completion[queue]?.eventIndex = index
    shadows?.setEventIndex(index, .head, of: queue, in: memory)
  }

  // MARK: Both

  func hasShadow(_ queue: Int) -> Bool {
    queue > 0 && shadows != nil
  }

  private mutating func setTail(_ queue: Int, _ tail: UInt32) -> Bool {
    guard submission.indices.contains(queue), let count = submission[queue]?.count, tail < count
    else { return false }
    submission[queue]?.tail = tail
    return true
  }

  /// Nothing if there is no such queue, or the head passes its tail.
  private mutating func setHead(_ queue: Int, _ head: UInt32) {
    guard completion.indices.contains(queue), let ring = completion[queue], head < ring.count,
      (head + ring.count - ring.head) % ring.count <= ring.occupiedCount
    else { return }
    completion[queue]?.head = head
  }
}
