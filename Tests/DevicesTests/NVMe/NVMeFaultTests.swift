import Foundation
import GuestMemory
import HostSystem
import TestSupport
import Testing

@testable import Devices

/// A back-end that fails, is full, short or stuck.
@Suite(.timeLimit(.minutes(10))) struct NVMeFaultTests {
  private static let byteCount = 1 << 20
  private let store = FaultyStore(pattern(byteCount, seed: 1))

  struct Row: CustomTestStringConvertible, Sendable {
    let operation: FaultyStore.Operation
    let error: BlockStoreError
    let command: NVMeCommand
    let status: NVMeStatus

    init(
      _ operation: FaultyStore.Operation, _ error: BlockStoreError, _ command: NVMeCommand,
      _ status: NVMeStatus
    ) {
      self.operation = operation
      self.error = error
      self.command = command
      self.status = status
    }

    var testDescription: String { "\(operation) of \(command.opcode): \(error)" }
  }

  private static var discard: NVMeCommand {
    var command = NVMeCommand.io(.datasetManagement, 0, 1)
    command.dwords[1] = 4
    return command
  }

  @Test(
    "each failure is told, never as success, and the same command works afterwards",
    arguments: [
      Row(.read, .host(EIO), .io(.read, 8, 4), .unrecoveredReadError),
      Row(.read, .short, .io(.read, 8, 4), .unrecoveredReadError),
      Row(.read, .host(ENOSPC), .io(.read, 8, 4), .capacityExceeded),
      Row(.write, .host(EIO), .io(.write, 8, 4), .writeFault),
      Row(.write, .short, .io(.write, 8, 4), .writeFault),
      Row(.write, .host(ENOSPC), .io(.write, 8, 4), .capacityExceeded),
      Row(.write, .host(EDQUOT), .io(.write, 8, 4), .capacityExceeded),
      Row(.write, .host(EFBIG), .io(.write, 8, 4), .capacityExceeded),
      Row(.flush, .host(EIO), .io(.flush, 0, 1), .writeFault),
      Row(.flush, .host(ENOSPC), .io(.flush, 0, 1), .capacityExceeded),
      Row(.flush, .host(EIO), .io(.write, 8, 4, flags: 1 << 30), .writeFault),
      Row(.flush, .host(EIO), .io(.writeZeroes, 8, 4, flags: 1 << 30), .writeFault),
      Row(.discard, .host(EIO), discard, .writeFault),
      Row(.writeZeroes, .host(ENOSPC), .io(.writeZeroes, 8, 4), .capacityExceeded),
      Row(.writeZeroes, .host(EIO), .io(.writeZeroes, 8, 4), .writeFault),
    ])
  func failures(row: Row) throws {
    let disk = try TestDisk(store)
    let queue = try disk.makePair(1)
    try disk.memory.store(8 as UInt32, at: GPA(0x20_0004))
    store.fail(row.operation, row.error)
    for _ in 0..<3 { #expect(try queue.run(row.command).status == row.status) }
    #expect(try disk.admin.run(.admin(.getFeatures, 7)).status == .success)
    store.fail(row.operation, nil)
    #expect(try queue.run(row.command).status == .success)
    #expect(disk.read(0x1C) == 1, "a failing disk is no failing controller")
  }

  @Test("a command that fails at one of its pieces has failed", arguments: [0, 1, 2])
  func pieces(piece: Int) throws {
    let disk = try TestDisk(store)
    let queue = try disk.makePair(1)
    for (index, page) in [0x30_2000, 0x30_4000].enumerated() {
      try disk.memory.store(UInt64(page), at: GPA(0x40_0000 + UInt64(8 * index)))
    }
    let command = NVMeCommand.io(.write, 0, 24, prp1: 0x30_0000, prp2: 0x40_0000)
    store.fail(.write, .host(EIO), after: piece)
    #expect(try queue.run(command).status == .writeFault)
    #expect(store.callCount(.write) == piece + 1)
    store.fail(.write, nil)
    #expect(try queue.run(command).status == .success)
    #expect(store.contents.prefix(12288).allSatisfy { $0 == 0 })
  }

  @Test(
    "what was told to be safe is safe, what was told to be written is read, whatever fails",
    arguments: [1, 2, 3] as [UInt64])
  func durability(seed: UInt64) throws {
    let disk = try TestDisk(store)
    let queue = try disk.makePair(1)
    var generator = SeededGenerator(seed: seed)
    let sectorCount = 64
    // Nil: a write failed there, so any of it may be there.
    var written: [[UInt8]?] = (0..<sectorCount).map {
      Array(store.contents[($0 * 512)..<($0 * 512 + 512)])
    }
    var safe = written
    for _ in 0..<400 {
      let errors: [BlockStoreError?] = [nil, nil, .host(EIO), .host(ENOSPC), .short]
      store.fail(.write, errors.randomElement(using: &generator) ?? nil)
      store.fail(.flush, errors.randomElement(using: &generator) ?? nil)
      let sector = Int.random(in: 0..<sectorCount, using: &generator)
      let isForced = generator.next() % 4 == 0
      if generator.next() % 3 == 0 {
        if try queue.run(.io(.flush, 0, 1)).status == .success { safe = written }
      } else {
        let bytes = pattern(512, seed: generator.next())
        try disk.memory.write(bytes, at: GPA(0x20_0000))
        let reply = try queue.run(.io(.write, UInt64(sector), 1, flags: isForced ? 1 << 30 : 0))
        let isDone = reply.status == .success
        written[sector] = isDone ? bytes : nil
        // Later than what is known to be safe, and perhaps safe too.
        safe[sector] = isDone && isForced ? bytes : nil
      }
      let (contents, durable) = (store.contents, store.durable)
      for sector in 0..<sectorCount {
        let range = (sector * 512)..<(sector * 512 + 512)
        // A comparison outside the macro, which would print every byte that differs.
        let isWritten = written[sector].map { $0[...] == contents[range] } ?? true
        let isSafe = safe[sector].map { $0[...] == durable[range] } ?? true
        #expect(isWritten && isSafe, "seed \(seed), sector \(sector)")
      }
    }
  }

  @Test("resets at any time during I/O: each command completes once in its life, or never")
  func resets() throws {
    let disk = try TestDisk(store, pairs: 1, threads: 3)
    var generator = SeededGenerator(seed: 5)
    for round in 0..<60 {
      disk.write(0x14, 0)
      while disk.read(0x1C) & 1 == 1 { TestThreads.nap(microseconds: 50) }
      let admin = try DriverQueue(0, disk.controller, disk.memory, count: 16)
      disk.enable(adminCount: 16)
      let queue = try DriverQueue(1, disk.controller, disk.memory, count: 64)
      for opcode in [NVMeAdminOpcode.createCompletionQueue, .createSubmissionQueue] {
        let isCompletion = opcode == .createCompletionQueue
        let start = isCompletion ? queue.completionStart : queue.submissionStart
        let command = NVMeCommand.admin(
          opcode, prp1: start, 63 << 16 | 1, 1 << 16 | (isCompletion ? 3 : 1))
        #expect(try admin.run(command).status == .success, "round \(round)")
      }
      let count = Int.random(in: 1...40, using: &generator)
      store.stick(true)
      for _ in 0..<count { try queue.enqueue(.io(.read, 0, 1)) }
      queue.ring()
      store.waitForStuck(min(count, 3))
      let isReset = Bool.random(using: &generator)
      if isReset {
        disk.write(0x14, 0x46_0000)
        #expect(disk.read(0x1C) & 1 == 1, "the stuck commands still have guest memory")
      }
      store.stick(false)
      if isReset {
        while disk.read(0x1C) & 1 == 1 { TestThreads.nap(microseconds: 50) }
        #expect(try queue.poll() == nil, "round \(round)")
      } else {
        let identifiers = try (0..<count).map { _ in try queue.wait().identifier }
        #expect(identifiers.sorted() == (0..<count).map { UInt16($0) }, "round \(round)")
        #expect(try queue.poll() == nil, "round \(round)")
      }
      #expect(disk.controller.engine.state.withLock { $0.inFlightCount } == 0)
    }
  }

  @Test("a stop during I/O waits for what runs, completes that, and begins no more")
  func stop() throws {
    let disk = try TestDisk(store, pairs: 1, threads: 2)
    let queue = try disk.makePair(1)
    store.stick(true)
    for _ in 0..<10 { try queue.enqueue(.io(.read, 0, 1)) }
    queue.ring()
    store.waitForStuck(2)
    let controller = disk.controller
    let isStopped = Recorder<Bool>()
    let stopper = try HostThread {
      controller.stop()
      isStopped.append(true)
    }
    TestThreads.nap(microseconds: 20_000)
    #expect(isStopped.values == [])
    store.stick(false)
    stopper.join()
    #expect(store.callCount(.read) == 2)
    let first = try #require(try queue.poll()).identifier
    let second = try #require(try queue.poll()).identifier
    #expect(Set([first, second]) == [0, 1])
    #expect(try queue.poll() == nil)
  }
}
