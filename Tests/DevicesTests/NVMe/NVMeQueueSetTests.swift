import GuestMemory
import TestSupport
import Testing

@testable import Devices

/// Queues and shadow doorbells as a value, step by step.
@Suite(.onVCPUThread) struct NVMeQueueSetTests {
  private let memory: GuestMemory
  private let shadow = ShadowPages()

  init() throws {
    memory = try GuestMemory(layout: GuestMemoryLayout(ramByteCount: 8 << 20))
  }

  /// One pair, eight commands in a ring.
  private final class Queues {
    var set = NVMeQueueSet(pairCount: 1)
    private let memory: GuestMemory

    init(_ memory: GuestMemory, _ shadow: ShadowPages?) throws {
      self.memory = memory
      set.tellsEachHead = false
      makePair()
      guard let shadow else { return }
      set.setShadows(try NVMeShadowDoorbells(shadow.command, memory), memory)
    }

    func makePair() {
      set.completion[1] = NVMeCompletionQueue(start: GPA(0x3000), count: 8, vector: 1)
      set.submission[1] = NVMeSubmissionQueue(start: GPA(0x2000), count: 8, completionQueue: 1)
    }

    /// Takes a command; whether there are more, or nil if there is none.
    func fetch() -> Bool? {
      guard case .command(_, let hasMore, _) = set.fetch(1, from: memory) else { return nil }
      return hasMore
    }

    /// Takes a command and completes it.
    func run() -> Bool? {
      let hasMore = fetch()
      #expect(hasMore != nil)
      let isPosted = set.post(.success, of: NVMeCommand(), 1, to: memory)
      #expect(isPosted)
      set.release(1)
      return hasMore
    }

    func ringTail(_ queue: Int, _ tail: UInt32) -> Bool { set.ringTail(queue, tail, memory) }

    func ringHead(_ queue: Int, _ head: UInt32) -> [Int] { set.ringHead(queue, head, memory) }
  }

  @Test("an idle queue asks for a ring, a busy one does not")
  func tails() throws {
    let queues = try Queues(memory, shadow)
    #expect(try shadow.eventIndex(2, memory) == 0)
    #expect(queues.fetch() == nil)
    try shadow.setValue(3, 2, memory)
    #expect(queues.fetch() == true)
    #expect(try shadow.eventIndex(2, memory) == 0, "steps from 3 on do not pass it")
    #expect(queues.fetch() == true)
    try shadow.setValue(4, 2, memory)
    #expect(queues.fetch() == true, "found without a ring")
    #expect(queues.fetch() == false)
    #expect(try shadow.eventIndex(2, memory) == 4, "the next step passes it")
    #expect(queues.fetch() == nil)
  }

  @Test("the register is a mere hint: the shadow counts, which may be ahead")
  func registers() throws {
    let queues = try Queues(memory, shadow)
    try shadow.setValue(3, 2, memory)
    #expect(queues.ringTail(1, 1) && queues.set.submission[1]?.tail == 3)
    try shadow.setValue(8, 2, memory)
    #expect(!queues.ringTail(1, 1) && queues.set.submission[1]?.tail == 3)
    #expect(!queues.ringTail(2, 1))
    let plain = try Queues(memory, nil)
    #expect(plain.ringTail(1, 1) && plain.set.submission[1]?.tail == 1)
    #expect(!plain.ringTail(1, 8) && !plain.ringTail(0, 0))
  }

  @Test("a head wakes a queue only if its commands waited for room", arguments: [false, true])
  func heads(usesShadows: Bool) throws {
    let queues = try Queues(memory, usesShadows ? shadow : nil)
    func ring(_ doorbell: Int, _ value: UInt32) throws -> [Int] {
      try shadow.setValue(value, doorbell, memory)
      if doorbell == 2 { return queues.ringTail(1, value) ? [1] : [] }
      return queues.ringHead(1, value)
    }
    for index: UInt32 in 1...3 {
      #expect(try ring(2, index) == [1])
      #expect(queues.run() == false)
      #expect(try ring(3, index) == [], "nothing waits")
    }
    #expect(try ring(2, 2) == [1])
    for _ in 0..<7 {
      _ = queues.run()
    }
    #expect(try ring(2, 4) == [1])
    #expect(queues.fetch() == nil, "no room")
    #expect(queues.set.completion[1]?.holdsBack == true)
    if usesShadows { #expect(try shadow.eventIndex(3, memory) == 3, "the next step passes it") }
    #expect(try ring(3, 4) == [1])
    #expect(try ring(3, 5) == [], "once")
    #expect(queues.fetch() == true)
  }

  @Test("while commands wait for room, completions of others leave the index at the head")
  func heldBack() throws {
    let queues = try Queues(memory, shadow)
    try shadow.setValue(7, 2, memory)
    for _ in 0..<6 { _ = queues.run() }
    #expect(queues.fetch() == false)
    try shadow.setValue(1, 2, memory)
    #expect(queues.fetch() == nil)
    #expect(try shadow.eventIndex(3, memory) == 0, "the next step passes it")
    let isPosted = queues.set.post(.success, of: NVMeCommand(), 1, to: memory)
    queues.set.release(1)
    #expect(try isPosted && shadow.eventIndex(3, memory) == 0)
    #expect(queues.set.completion[1]?.holdsBack == true)
    // A head that the guest wrote before it could see the index is found with the next completion.
    try shadow.setValue(2, 3, memory)
    #expect(queues.set.wakeable(1) == [])
    queues.set.followHead(1, memory)
    #expect(try shadow.eventIndex(3, memory) == 2)
    #expect(queues.set.wakeable(1) == [1])
  }

  @Test("the head's index follows just behind, and only when the tail has come round to it")
  func quietHeads() throws {
    let queues = try Queues(memory, shadow)
    #expect(try shadow.eventIndex(3, memory) == 7)
    var indices: [UInt32] = []
    for index: UInt32 in 1...16 {
      try shadow.setValue(index % 8, 2, memory)
      #expect(queues.run() == false)
      indices.append(try shadow.eventIndex(3, memory))
      try shadow.setValue(index % 8, 3, memory)
    }
    #expect(indices == [7, 7, 7, 7, 7, 7, 5, 5, 5, 5, 5, 5, 3, 3, 3, 3])
  }

  @Test("queues that are made anew begin at 0, whatever their entries held")
  func anew() throws {
    let queues = try Queues(memory, shadow)
    try shadow.setValue(5, 2, memory)
    try shadow.setValue(5, 3, memory)
    queues.makePair()
    queues.set.adoptTail(1, memory)
    queues.set.adoptHead(1, memory)
    #expect(queues.fetch() == nil)
    #expect(try shadow.value(2, memory) == 0 && shadow.value(3, memory) == 0)
  }

  private func put(_ opcode: NVMeIOOpcode, _ count: Int, flags: UInt32 = 0) throws {
    for index in 0..<UInt64(count) {
      let command = NVMeCommand.io(opcode, 0, 1, flags: flags)
      try memory.write(command.bytes, at: GPA(0x2000 + 64 * index))
    }
  }

  @Test("after some commands that were handed over a thread attends to the queue alone")
  func pollHoldOff() throws {
    let queues = try Queues(memory, shadow)
    try put(.read, 8)
    queues.set.submission[1]?.pollHoldOff = 2
    try shadow.setValue(4, 2, memory)
    for isPolled in [false, false, true, true] {
      _ = queues.run()
      #expect(queues.set.submission[1]?.isPolled == isPolled)
    }
    #expect(try shadow.eventIndex(2, memory) == 0, "it looks again anyway")
    #expect(queues.fetch() == nil)
    #expect(try shadow.eventIndex(2, memory) == 4, "and then asks for a ring")
    queues.set.leave(1)
    #expect(queues.set.submission[1]?.isPolled == false)
    queues.set.holdOffPolling(1)
    #expect(queues.set.submission[1]?.pollHoldOff == NVMeQueueSet.pollHoldOff)
    queues.set.leave(9)
    queues.set.holdOffPolling(0)
  }

  @Test(
    "commands that wait for the host's disk are never attended to alone",
    arguments: [
      (.read, 0, true, true), (.read, 0, false, true), (.write, 0, true, true),
      (.write, 0, false, false), (.write, 1 << 30, true, false), (.flush, 0, true, false),
      (.writeZeroes, 0, true, false), (.datasetManagement, 0, true, false),
    ] as [(NVMeIOOpcode, UInt32, Bool, Bool)])
  func slowCommands(
    opcode: NVMeIOOpcode, flags: UInt32, hasWriteCache: Bool, isQuick: Bool
  ) throws {
    let queues = try Queues(memory, shadow)
    try put(opcode, 8, flags: flags)
    queues.set.submission[1]?.pollHoldOff = 0
    try shadow.setValue(2, 2, memory)
    let fetch = queues.set.fetch(1, from: memory, hasWriteCache: hasWriteCache)
    guard case .command(_, true, isQuick) = fetch else {
      Issue.record("\(fetch)")
      return
    }
  }
}
