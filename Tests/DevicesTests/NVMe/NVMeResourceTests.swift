import Foundation
import GuestMemory
import HostSystem
import Sandbox
import TestSupport
import Testing

@testable import Devices

/// A guest that asks for as much as it can: what waits, runs and is kept has bounds that are ours.
@Suite(.timeLimit(.minutes(10))) struct NVMeResourceTests {
  private static let byteCount = 1 << 20

  @Test(
    "the longest transfer through a list that is its own successor and its own data",
    arguments: [true, false])
  func ownList(isRead: Bool) throws {
    let store = FaultyStore(pattern(Self.byteCount, seed: 1))
    let disk = try TestDisk(store)
    let queue = try disk.makePair(1)
    for index: UInt64 in 0..<512 {
      try disk.memory.store(0x40_0000 as UInt64, at: GPA(0x40_0000 + 8 * index))
    }
    let command = NVMeCommand.io(
      isRead ? .read : .write, 0, 1024, prp1: 0x40_0000, prp2: 0x40_0FF8)
    #expect(try queue.run(command).status == .success)
    #expect(store.transferredByteCount == NVMeIdentify.maximumTransferByteCount)
    #expect(store.callCount(isRead ? .read : .write) <= 128)
    #expect(try queue.run(.io(.read, 0, 1)).status == .success)
  }

  @Test("a storm of doorbells from four threads: little waits, and no more runs than threads")
  func doorbellStorm() throws {
    let store = FaultyStore(pattern(Self.byteCount, seed: 1))
    let disk = try TestDisk(store, pairs: 4, threads: 3)
    for number in 1...4 { _ = try disk.makePair(number, count: 16) }
    let (controller, engine) = (disk.controller, disk.controller.engine)
    let excesses = Recorder<String>()
    let threads = try (0..<4 as Range<UInt64>).map { seed in
      try HostThread {
        ThreadFilter.enter(.vcpu)
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<5000 {
          let doorbell = 0x1008 + 4 * (generator.next() % 8)
          controller.writeBAR(0, offset: doorbell, width: 4, value: generator.next() % 18)
          let waiting = engine.work.waitingCount
          let running = engine.state.withLock { $0.inFlightCount }
          if waiting > 5 || running > 3 { excesses.append("\(waiting) wait, \(running) run") }
        }
      }
    }
    for thread in threads { thread.join() }
    #expect(excesses.values == [])
    disk.write(0x14, 0)
    while disk.read(0x1C) & 1 == 1 { TestThreads.nap(microseconds: 100) }
    let admin = try DriverQueue(0, disk.controller, disk.memory, count: 16)
    disk.enable(adminCount: 16)
    #expect(try admin.run(.admin(.getFeatures, 7)).status == .success)
  }

  @Test("a storm of doorbells while the back-end is stuck asks it for no more than threads")
  func stormAtStuckStore() throws {
    let store = FaultyStore(pattern(Self.byteCount, seed: 1))
    let disk = try TestDisk(store, pairs: 1, threads: 2)
    let queue = try disk.makePair(1)
    for _ in 0..<60 { try queue.enqueue(.io(.read, 0, 1)) }
    store.stick(true)
    for _ in 0..<50_000 { queue.ring() }
    store.waitForStuck(2)
    #expect(store.stuckCount == 2)
    #expect(disk.controller.engine.work.waitingCount <= 1)
    #expect(disk.controller.engine.state.withLock { $0.inFlightCount } == 2)
    store.stick(false)
    let identifiers = try (0..<60).map { _ in try queue.wait().identifier }
    #expect(identifiers.sorted() == Array(0..<60))
    #expect(store.callCount(.read) == 60)
  }

  @Test("queues that cannot be, asked for again and again, leave nothing behind")
  func impossibleQueues() throws {
    let disk = try TestDisk(FaultyStore(pattern(Self.byteCount, seed: 1)))
    let rows: [(NVMeCommand, NVMeStatus)] = [
      (
        .admin(.createSubmissionQueue, prp1: 0x3_0000, 15 << 16 | 1, 1 << 16 | 1),
        .completionQueueInvalid
      ),
      (
        .admin(.createCompletionQueue, prp1: 0x3_0000, 15 << 16 | 9, 1),
        .invalidQueueIdentifier
      ),
      (.admin(.deleteSubmissionQueue, 3), .invalidQueueIdentifier),
      (.admin(.deleteCompletionQueue, 0xFFFF), .invalidQueueIdentifier),
    ]
    for round in 0..<500 {
      for (command, status) in rows {
        #expect(try disk.admin.run(command).status == status, "round \(round)")
      }
    }
    let (count, hasQueues, inFlight) = disk.controller.engine.state.withLock {
      ($0.queues.submission.count, $0.queues.hasIOQueues, $0.inFlightCount)
    }
    #expect(count == 5 && !hasQueues && inFlight <= 1)
    // The last completion's doorbell may still wait.
    #expect(disk.controller.engine.work.waitingCount <= 1)
    for number in 1...4 { _ = try disk.makePair(number) }
  }
}
