import DeviceKit
import Foundation
import GuestMemory
import HostSystem
import TestSupport
import Testing
import ZeroTracker

@testable import Devices

/// Doorbell Buffer Config, through a controller with threads.
@Suite(.timeLimit(.minutes(10))) struct NVMeShadowDoorbellTests {
  private let shadow = ShadowPages()

  private func makeDisk(usesMSIX: Bool = true) throws -> TestDisk {
    let store = GatedStore()
    store.open()
    return try TestDisk(store, usesMSIX: usesMSIX)
  }

  @Test("the controller says that it has them")
  func identified() throws {
    let disk = try makeDisk()
    _ = try disk.admin.run(.admin(.identify, prp1: 0x20_0000, 1))
    #expect(try disk.memory.load(at: GPA(0x20_0100), as: UInt16.self) == 1 << 8)
    _ = try disk.admin.run(.admin(.getLogPage, prp1: 0x20_0000, 1023 << 16 | 5))
    #expect(try disk.memory.load(at: GPA(0x20_0000 + 4 * 0x7C), as: UInt32.self) == 1)
  }

  @Test(
    "pages that are refused, and registers count as before",
    arguments: [
      (0x18_0004, 0x18_1000, .invalidField), (0x18_0000, 0x18_1800, .invalidField),
      (0x18_0000, .max, .invalidField), (0x80_0000, 0x18_1000, .dataTransferError),
      (0x18_0000, 0x80_0000, .dataTransferError), (1 << 63, 0x18_1000, .dataTransferError),
      (0x18_0000, .max - 0xFFF, .dataTransferError),
    ] as [(UInt64, UInt64, NVMeStatus)])
  func refused(values: UInt64, eventIndices: UInt64, status: NVMeStatus) throws {
    let disk = try makeDisk()
    let queue = try disk.makePair(1)
    let pages = ShadowPages(values: values, eventIndices: eventIndices)
    #expect(try disk.admin.run(pages.command).status == status)
    #expect(try queue.run(.io(.read, 0, 1)).status == .success)
  }

  @Test(
    "rings wrap many times, and no command is lost; queues begin before and after",
    arguments: [2, 3, 7, 64, 1000], [false, true])
  func wrap(count: Int, isEarly: Bool) throws {
    let disk = try makeDisk()
    if !isEarly { #expect(try disk.admin.run(shadow.command).status == .success) }
    let queue = try disk.makePair(1, count: count)
    if isEarly {
      // Registers first: the entries take over where those are.
      for _ in 0..<5 { #expect(try queue.run(.io(.read, 0, 1)).status == .success) }
      #expect(try disk.admin.run(shadow.command).status == .success)
      #expect(try shadow.value(2, disk.memory) == UInt32(5 % count))
      #expect(try shadow.value(3, disk.memory) == UInt32(5 % count))
    }
    queue.shadow = shadow
    let before = queue.registerWriteCounts[1]
    for _ in 0..<max(3 * count, 100) {
      #expect(try queue.run(.io(.read, 0, 1)).status == .success)
    }
    // Nobody waits for heads, so that the guest need not tell them; in short rings it steps over
    // the index.
    if count >= 64 { #expect(queue.registerWriteCounts[1] == before) }
  }

  @Test(
    "many commands at a time, each found and completed once",
    arguments: [false, true], [false, true])
  func batches(usesShadows: Bool, isQuick: Bool) throws {
    let disk = try makeDisk()
    if usesShadows { #expect(try disk.admin.run(shadow.command).status == .success) }
    let queue = try disk.makePair(1)
    if usesShadows { queue.shadow = shadow }
    var generator = SeededGenerator(seed: 11)
    for round in 0..<300 {
      // One thread alone, or all of them, whatever the back-end's pace.
      disk.controller.engine.state.withLock {
        $0.queues.submission[1]?.pollHoldOff = isQuick ? 0 : 256
      }
      let count = Int.random(in: 1...40, using: &generator)
      var missing: Set<UInt16> = []
      for _ in 0..<count {
        missing.insert(try queue.enqueue(.io(.read, 0, 1)))
        queue.ring()
      }
      while !missing.isEmpty {
        let reply = try queue.wait()
        #expect(missing.remove(reply.identifier) != nil, "seed 11, round \(round)")
      }
    }
    // All completions are told, though not each on its own.
    let count = disk.sink.messages.count { $0.data == 1 }
    #expect(count > 0)
  }

  @Test("a back-end that makes a thread wait gets the others' help again")
  func slowBackEnd() throws {
    let store = GatedStore()
    let disk = try TestDisk(store)
    let queue = try disk.makePair(1)
    let engine = disk.controller.engine
    engine.state.withLock { $0.queues.submission[1]?.pollHoldOff = 0 }
    for _ in 0..<12 { try queue.enqueue(.io(.read, 0, 1)) }
    queue.ring()
    store.waitFor(1)
    #expect(engine.state.withLock { $0.queues.submission[1]!.isPolled })
    store.open()
    for _ in 0..<12 { #expect(try queue.wait().status == .success) }
    // Reads through an open gate do not sleep: it stays as it is. A closed one is found out.
    store.close()
    engine.state.withLock { $0.queues.submission[1]?.pollHoldOff = 0 }
    for _ in 0..<12 { try queue.enqueue(.io(.read, 0, 1)) }
    queue.ring()
    // Threads that slept for a lock of the first twelve may all be here: none of them has noticed
    // yet. There are always as many commands, however many it takes until one does.
    while engine.state.withLock({ $0.queues.submission[1]!.pollHoldOff }) == 0 {
      store.waitFor(1)
      store.letOneThrough()
      try queue.enqueue(.io(.read, 0, 1))
      queue.ring()
      #expect(try queue.wait().status == .success)
    }
    try waitUntil(seconds: 300) { store.waitingCount >= 4 }
    store.open()
    for _ in 0..<12 { #expect(try queue.wait().status == .success) }
  }

  @Test("values that are no place in the queue change nothing; nor do any of the admin queue's")
  func hostileValues() throws {
    let disk = try makeDisk()
    #expect(try disk.admin.run(shadow.command).status == .success)
    let queue = try disk.makePair(1)
    for value: UInt32 in [64, 65, 0xFFFF, 0x1_0000, 0x8000_0000, .max] {
      for kind in [0, 1] {
        try shadow.setValue(value, 2 + kind, disk.memory)
        queue.doorbell(2 + kind, 1)
        try shadow.setValue(value, kind, disk.memory)
      }
    }
    // No completion was given: none can be taken.
    try shadow.setValue(5, 3, disk.memory)
    queue.doorbell(3, 5)
    #expect(disk.read(0x1C) == 1)
    #expect(try disk.admin.run(.admin(.getFeatures, 7)).status == .success)
    let (submission, completion) = disk.controller.engine.state.withLock {
      ($0.queues.submission[1], $0.queues.completion[1])
    }
    #expect(submission?.tail == 0 && completion?.head == 0)
    queue.shadow = shadow
    #expect(try queue.run(.io(.read, 0, 1)).status == .success)
  }

  @Test("drivers that have shadows of the admin queues too are made to ring each time")
  func adminShadows() throws {
    let disk = try makeDisk()
    for _ in 0..<3 { _ = try disk.admin.run(.admin(.getFeatures, 7)) }
    #expect(try disk.admin.run(shadow.command).status == .success)
    disk.admin.shadow = shadow
    for round in 5...50 {
      #expect(try disk.admin.run(.admin(.getFeatures, 7)).status == .success)
      #expect(disk.admin.registerWriteCounts == [round, round])
    }
  }

  @Test("the status report counts completions that the guest has not taken, by its shadow doorbell")
  func activity() throws {
    let disk = try makeDisk()
    #expect(try disk.admin.run(shadow.command).status == .success)
    let queue = try disk.makePair(1)
    queue.shadow = shadow
    for _ in 0..<5 { #expect(try queue.run(.io(.read, 0, 1)).status == .success) }
    func pair() -> NVMeActivity.Queue? {
      disk.controller.activity?.queues.first { $0.identifier == 1 }
    }
    var seen: NVMeActivity.Queue?
    try waitUntil {
      seen = pair()
      return seen != nil
    }
    #expect(seen?.untaken == 0 && seen?.completionHead == 5)
    // What the report finds is no news to the controller: the registers' rules stay.
    #expect(disk.controller.engine.state.withLock { $0.queues.completion[1]?.head } == 0)
    try queue.enqueue(.io(.read, 0, 1))
    queue.ring()
    try waitUntil { pair()?.untaken == 1 }
    #expect(try queue.wait().status == .success)
    try waitUntil { pair()?.untaken == 0 }
  }

  @Test("the event indices are marked as touched")
  func touches() throws {
    let disk = try makeDisk()
    disk.memory.tracker.attach(source: QuietGuest())
    func isReported() -> Bool {
      disk.memory.tracker.zeroedRanges(replyPage: nil, limit: .max).contains {
        $0.contains(GPA(shadow.eventIndices).page)
      }
    }
    #expect(isReported())
    #expect(try disk.admin.run(shadow.command).status == .success)
    _ = try disk.makePair(1)
    #expect(!isReported())
  }

  @Test("a reset forgets them: registers count, and the pages are left alone")
  func reset() throws {
    let disk = try makeDisk()
    #expect(try disk.admin.run(shadow.command).status == .success)
    disk.write(0x14, 0x46_0000)
    try waitUntil { disk.read(0x1C) == 0 }
    try disk.memory.fill(at: GPA(shadow.values), byteCount: 8192, with: 0xA5)
    let admin = try DriverQueue(0, disk.controller, disk.memory, count: 16)
    disk.enable(adminCount: 16)
    let queue = try DriverQueue(1, disk.controller, disk.memory, count: 64)
    let size: UInt32 = 63 << 16 | 1
    _ = try admin.run(
      .admin(.createCompletionQueue, prp1: queue.completionStart, size, 1 << 16 | 3))
    _ = try admin.run(
      .admin(.createSubmissionQueue, prp1: queue.submissionStart, size, 1 << 16 | 1))
    for _ in 0..<100 { #expect(try queue.run(.io(.read, 0, 1)).status == .success) }
    let pages = try disk.memory.read(at: GPA(shadow.values), byteCount: 8192)
    #expect(pages.allSatisfy { $0 == 0xA5 })
  }

  @Test("a full completion queue holds commands back until the driver takes some")
  func fullCompletionQueue() throws {
    let disk = try makeDisk()
    #expect(try disk.admin.run(shadow.command).status == .success)
    let pair = try disk.makePair(1, count: 4)
    pair.shadow = shadow
    let command = NVMeCommand.admin(
      .createSubmissionQueue, prp1: 0x4_0000, 15 << 16 | 2, 1 << 16 | 1)
    #expect(try disk.admin.run(command).status == .success)
    for index in 0..<10 {
      var command = NVMeCommand.io(.read, 0, 1)
      command.identifier = UInt16(100 + index)
      try disk.memory.write(command.bytes, at: GPA(0x4_0000 + UInt64(index * 64)))
    }
    // An event index of 0 asks for a ring at the first step.
    #expect(shadow.update(4, from: 0, to: 10, disk.memory))
    disk.write(0x1010, 10)
    // Three are there and nobody takes them: the rest waits, and the guest is asked to tell its
    // head.
    try waitUntil { disk.controller.engine.state.withLock { $0.queues.completion[1]!.holdsBack } }
    let seen = try (0..<10).map { _ in try pair.wait().identifier }
    #expect(Set(seen) == Set(100..<110))
  }

  @Test("with the pin every head is told, and the pin goes down with the last completion")
  func pin() throws {
    let disk = try makeDisk(usesMSIX: false)
    #expect(try disk.admin.run(shadow.command).status == .success)
    let queue = try disk.makePair(1, vector: 0)
    queue.shadow = shadow
    for round in 1...150 {
      #expect(try queue.run(.io(.read, 0, 1)).status == .success)
      #expect(queue.registerWriteCounts[1] == round)
      #expect(disk.line.levels.last == false)
    }
  }
}
