import DeviceKit
import Foundation
import GuestMemory
import HostSystem
import TestSupport
import Testing

@testable import Devices

@Suite(.timeLimit(.minutes(10))) struct NVMeEngineTests {
  @Test("registers, as halves and whole; the admin queues' can be read back after enabling")
  func registers() throws {
    let disk = try TestDisk(GatedStore())
    #expect(disk.read(0, width: 8) == 0x20_1401_03FF)
    #expect(disk.read(0) == 0x1401_03FF && disk.read(4) == 0x20)
    #expect(disk.read(8) == 0x1_0300 && disk.read(0x1C) == 1)
    #expect(disk.read(0x24) == 0x000F_000F)
    #expect(disk.read(0x28, width: 8) == 0x2_0000 && disk.read(0x30) == 0x10_0000)
    #expect(disk.read(0x34) == 0 && disk.read(0x1000) == 0 && disk.read(0x800) == 0)
    #expect(disk.read(0x0A, width: 2) & 0xFFFF == 1)
    disk.write(0x0C, 5)
    disk.write(0x10, 1)
    #expect(disk.read(0x0C) == 4 && disk.read(0x10) == 4)
    disk.write(0x14, 0, width: 1)
    #expect(disk.read(0x1C) == 1)
    disk.write(0x14, 0x46_4001)
    #expect(disk.read(0x1C) == 9)
    disk.write(0x14, 0x46_0000)
    #expect(disk.read(0x1C) == 0)
  }

  @Test(
    "a setup that cannot work is fatal until a reset",
    arguments: [0x46_0011, 0x46_0081, 0x46_0801] as [UInt64])
  func invalidSetup(value: UInt64) throws {
    let disk = try TestDisk(GatedStore())
    disk.write(0x14, 0)
    disk.write(0x14, value)
    #expect(disk.read(0x1C) == 2)
    disk.write(0x14, 0)
    disk.write(0x24, 0x0000_000F)
    disk.write(0x14, 0x46_0001)
    #expect(disk.read(0x1C) == 2)
    disk.write(0x14, 0)
    disk.enable(adminCount: 16)
    #expect(disk.read(0x1C) == 1)
  }

  @Test("an admin queue outside RAM is fatal")
  func adminOutsideRAM() throws {
    let disk = try TestDisk(GatedStore())
    disk.write(0x14, 0)
    disk.write(0x28, 0xFFFF_FFFF_FFFF_F000, width: 8)
    disk.write(0x14, 0x46_0001)
    disk.write(0x1000, 1)
    try waitUntil { disk.read(0x1C) == 3 }
  }

  @Test("doorbells of no queue, or out of range, change nothing")
  func hostileDoorbells() throws {
    let disk = try TestDisk(GatedStore())
    for value: UInt64 in [16, 17, 0xFFFF, 0xFFFF_FFFF] {
      for index in [0, 1] { disk.admin.doorbell(index, value) }
    }
    disk.admin.doorbell(1, 5)
    for index in [2, 3, 9, 10, 500, 1023] { disk.admin.doorbell(index, 1) }
    disk.write(0x1FFC, .max, width: 8)
    #expect(try disk.admin.run(.admin(.getFeatures, 7)).status == .success)
    #expect(disk.read(0x1C) == 1)
  }

  @Test("rings wrap many times; heads and phase tags follow", arguments: [2, 3, 7, 64])
  func wrap(count: Int) throws {
    let image = try ImageFile(pattern(64 << 10, seed: 1))
    let disk = try TestDisk(RawImageStore(path: image.path))
    let queue = try disk.makePair(1, count: count)
    for index in 1...(5 * count + 3) {
      let reply = try queue.run(.io(.read, UInt64(index % 128), 1))
      #expect(reply.status == .success && Int(reply.submissionHead) == index % count)
    }
    // A message follows its completion.
    try waitUntil { disk.sink.messages.filter { $0.data == 1 }.count == 5 * count + 3 }
  }

  @Test("a full completion queue holds commands back until the driver takes some")
  func fullCompletionQueue() throws {
    let store = GatedStore()
    store.open()
    let disk = try TestDisk(store)
    let pair = try DriverQueue(1, disk.controller, disk.memory, count: 4)
    let completion = NVMeCommand.admin(
      .createCompletionQueue, prp1: pair.completionStart, 3 << 16 | 1, 1 << 16 | 3)
    #expect(try disk.admin.run(completion).status == .success)
    for number: UInt32 in 1...2 {
      let start = UInt64(0x2_0000 + number * 0x1_0000)
      let command = NVMeCommand.admin(
        .createSubmissionQueue, prp1: start, 3 << 16 | number, 1 << 16 | 1)
      #expect(try disk.admin.run(command).status == .success)
      for index in 0..<3 {
        var command = NVMeCommand.io(.read, 0, 1)
        command.identifier = UInt16(number) * 10 + UInt16(index)
        try disk.memory.write(command.bytes, at: GPA(start + UInt64(index * 64)))
      }
      disk.write(0x1000 + 8 * UInt64(number), 3)
    }
    var seen: Set<UInt16> = []
    while seen.count < 6 {
      seen.insert(try pair.wait().identifier)
    }
    #expect(seen == [10, 11, 12, 20, 21, 22])
  }

  @Test("after a reset with commands in flight none completes, and the controller works again")
  func resetInFlight() throws {
    let store = GatedStore()
    let disk = try TestDisk(store)
    let queue = try disk.makePair(1)
    for _ in 0..<10 { try queue.enqueue(.io(.read, 0, 1)) }
    queue.ring()
    store.waitFor(4)
    disk.write(0x14, 0x46_0000)
    #expect(disk.read(0x1C) == 1)
    disk.write(0x14, 0x46_0001)
    disk.write(0x14, 0x46_0000)
    store.open()
    try waitUntil { disk.read(0x1C) == 0 }
    #expect(try queue.poll() == nil)
    let admin = try DriverQueue(0, disk.controller, disk.memory, count: 16)
    disk.enable(adminCount: 16)
    #expect(try admin.run(.admin(.deleteSubmissionQueue, 1)).status == .invalidQueueIdentifier)
    disk.controller.reset()
    #expect(disk.read(0x1C) == 0 && disk.read(0x28) == 0)
    #expect(disk.controller.configuration.command == [])
  }

  @Test("a queue is deleted when its last command is done; others run meanwhile")
  func deletionWaits() throws {
    let store = GatedStore()
    let disk = try TestDisk(store)
    let queue = try disk.makePair(1)
    for _ in 0..<2 { try queue.enqueue(.io(.read, 0, 1)) }
    queue.ring()
    store.waitFor(2)
    try disk.admin.enqueue(.admin(.deleteSubmissionQueue, 1))
    disk.admin.ring()
    let second = try disk.makeAnswered(.admin(.getFeatures, 7))
    #expect(second.result == 0x0003_0003)
    try waitUntil {
      disk.controller.engine.state.withLock { $0.queues.submission[1]?.deletion != nil }
    }
    try queue.enqueue(.io(.read, 0, 1))
    queue.ring()
    store.open()
    #expect(try disk.admin.wait().status == .success)
    for _ in 0..<2 { #expect(try queue.wait().status == .success) }
    #expect(try queue.poll() == nil)
    #expect(try disk.admin.run(.admin(.deleteCompletionQueue, 1)).status == .success)
  }

  @Test("without MSI-X the pin is up while completions wait, unless masked or disabled")
  func pin() throws {
    let disk = try TestDisk(GatedStore(), usesMSIX: false)
    try disk.admin.enqueue(.admin(.getFeatures, 7))
    disk.admin.ring()
    try waitUntil { disk.line.levels == [true] }
    disk.write(0x0C, 1)
    disk.write(0x10, 1)
    #expect(disk.line.levels == [true, false, true])
    disk.configure(0x04, 2, 0x406)
    #expect(disk.line.levels.last == false)
    disk.configure(0x04, 2, 6)
    #expect(disk.line.levels.last == true)
    _ = try disk.admin.wait()
    #expect(disk.line.levels.last == false && disk.sink.messages.isEmpty)
  }

  @Test("without Bus Master nothing is fetched")
  func busMaster() throws {
    let disk = try TestDisk(GatedStore())
    disk.configure(0x04, 2, 2)
    try disk.admin.enqueue(.admin(.getFeatures, 7))
    disk.admin.ring()
    TestThreads.nap(microseconds: 20_000)
    #expect(try disk.admin.poll() == nil)
    disk.configure(0x04, 2, 6)
    #expect(try disk.admin.wait().status == .success)
  }

  @Test("a stopped controller leaves doorbells unanswered; stopping twice is fine")
  func stop() throws {
    let disk = try TestDisk(GatedStore())
    disk.controller.stop()
    disk.controller.stop()
    try disk.admin.enqueue(.admin(.getFeatures, 7))
    disk.admin.ring()
    TestThreads.nap(microseconds: 10_000)
    #expect(try disk.admin.poll() == nil)
  }

  @Test("two queue pairs, two threads: each finds what it wrote", arguments: [false, true])
  func twoPairs(usesShadows: Bool) throws {
    let image = try ImageFile(pattern(1 << 20, seed: 1))
    let disk = try TestDisk(RawImageStore(path: image.path))
    _ = try disk.makePair(1)
    _ = try disk.makePair(2)
    let shadow = ShadowPages()
    if usesShadows { #expect(try disk.admin.run(shadow.command).status == .success) }
    let failures = Recorder<String>()
    let (controller, memory) = (disk.controller, disk.memory)
    let threads = try (1...2).map { number in
      try HostThread {
        do {
          let queue = try DriverQueue(number, controller, memory, count: 64)
          if usesShadows { queue.shadow = shadow }
          var generator = SeededGenerator(seed: UInt64(number))
          for round in 0..<300 {
            let sector = UInt64(number - 1) * 1024 + generator.next() % 1000
            let buffer = 0x20_0000 + UInt64(number) * 0x1_0000
            let bytes = pattern(1024, seed: generator.next())
            try memory.write(bytes, at: GPA(buffer))
            let written = try queue.run(.io(.write, sector, 2, prp1: buffer))
            let read = try queue.run(.io(.read, sector, 2, prp1: buffer + 0x2000))
            let found = try memory.read(at: GPA(buffer + 0x2000), byteCount: 1024)
            if written.status != .success || read.status != .success || found != bytes {
              failures.append("pair \(number), round \(round)")
            }
          }
        } catch {
          failures.append("pair \(number): \(error)")
        }
      }
    }
    for thread in threads { thread.join() }
    #expect(failures.values == [])
    let vectors = Set(disk.sink.messages.map(\.data))
    #expect(vectors == [0, 1, 2])
  }

  @Test("random registers, doorbells and commands never trap")
  func random() throws {
    let image = try ImageFile(pattern(64 << 10, seed: 1))
    let disk = try TestDisk(RawImageStore(path: image.path))
    var generator = SeededGenerator(seed: 99)
    for round in 0..<3000 {
      if round % 500 == 0 {
        disk.write(0x14, 0)
        try waitUntil { disk.read(0x1C) == 0 }
        disk.enable(adminCount: 16)
      }
      var bytes = pattern(64, seed: generator.next())
      bytes[0] = UInt8.random(in: 0..<16, using: &generator)
      bytes[1] = 0
      for index in 4..<64 where Bool.random(using: &generator) { bytes[index] = 0 }
      for slot: UInt64 in 0..<16 { try disk.memory.write(bytes, at: GPA(0x2_0000 + slot * 64)) }
      disk.write(0x1000 + 4 * (generator.next() % 12), generator.next() % 20)
      let offset = generator.nextOfAnyMagnitude() % 0x4000 & ~3
      if offset != 0x14 { disk.write(offset, generator.next(), width: 4) }
    }
  }
}

extension TestDisk {
  /// Submits one more admin command and waits for its completion, whatever the others do.
  func makeAnswered(_ command: NVMeCommand) throws -> Reply {
    let identifier = try admin.enqueue(command)
    admin.ring()
    let reply = try admin.wait()
    #expect(reply.identifier == identifier)
    return reply
  }
}
