import Bytes
import DeviceKit
import GuestMemory
import TestSupport
import Testing

@testable import Devices

/// A disk that is saved in the middle of its work, and restored.
@Suite(.timeLimit(.minutes(10))) struct NVMeStateTests {
  private static let data: UInt64 = 0x20_0000
  private static let hour: Int64 = 3_600_000_000_000

  private let shadow = ShadowPages()
  private let store = FaultyStore(pattern(1 << 20, seed: 4))
  private let clock = ManualClock(5 * Self.hour)

  private func makeHistory() -> NVMeHistory {
    let clock = clock
    return NVMeHistory { UInt64(clock.nanoseconds) }
  }

  /// A disk with all that there can be to save, and its driver.
  private struct Busy {
    let disk: TestDisk
    /// Has wrapped; a command is in it that the controller was not told of.
    let wrapped: DriverQueue
    /// Three completions were not taken, so two commands wait for room.
    let full: DriverQueue
    /// For what comes during the pause.
    let late: DriverQueue

    var queues: [DriverQueue] { [disk.admin, wrapped, full, late] }
  }

  private func makeBusy(
    usesMSIX: Bool, hasShadows: Bool, _ history: NVMeHistory? = nil
  ) throws -> Busy {
    let disk = try TestDisk(store, usesMSIX: usesMSIX, history: history ?? makeHistory())
    if hasShadows { #expect(try disk.admin.run(shadow.command).status == .success) }
    let busy = Busy(
      disk: disk, wrapped: try disk.makePair(1, count: 8, vector: usesMSIX ? 1 : 0),
      full: try disk.makePair(2, count: 4, vector: usesMSIX ? 2 : 0),
      late: try disk.makePair(4, vector: usesMSIX ? 4 : 0))
    if hasShadows { for queue in busy.queues.dropFirst() { queue.shadow = shadow } }
    for number in 0..<11 {
      #expect(try busy.wrapped.run(.io(.read, UInt64(number), 1)).status == .success)
    }
    #expect(try busy.wrapped.run(.io(.flush, 0, 1, namespace: 3)).status == .invalidNamespace)
    try busy.wrapped.enqueue(.io(.read, 7, 1, prp1: Self.data + 0x1000))
    for _ in 0..<3 { try busy.full.enqueue(.io(.read, 0, 1)) }
    busy.full.ring()
    try waitUntil { try Self.completionCount(busy) == 3 }
    for _ in 0..<2 { try busy.full.enqueue(.io(.write, 3, 1)) }
    busy.full.ring()
    #expect(try disk.admin.run(.admin(.setFeatures, 0x04, 0x160)).status == .success)
    try disk.admin.enqueue(.admin(.asynchronousEventRequest))
    disk.admin.ring()
    #expect(try disk.admin.run(.admin(.getFeatures, 0x06)).status == .success)
    return busy
  }

  private static func completionCount(_ busy: Busy) throws -> Int {
    try (0..<4).count { entry in
      let place = busy.full.completionStart + UInt64(16 * entry + 12)
      return try busy.disk.memory.load(at: GPA(place), as: UInt32.self) >> 16 & 1 == 1
    }
  }

  private static func registers(_ controller: NVMeController) -> [UInt64] {
    stride(from: UInt64(0), to: 0x1010, by: 4).map { controller.readBAR(0, offset: $0, width: 4) }
  }

  @Test(
    "queues, features, parked requests and the history go on in another machine",
    arguments: [true, false], [true, false])
  func moves(usesMSIX: Bool, hasShadows: Bool) throws {
    let busy = try makeBusy(usesMSIX: usesMSIX, hasShadows: hasShadows)
    let old = busy.disk
    try old.controller.pause()
    #expect(store.durable == store.contents, "what was written is safe")
    // Its doorbell rings when no thread takes commands any more.
    let late = try busy.late.enqueue(.io(.read, 9, 1, prp1: Self.data + 0x2000))
    busy.late.ring()
    clock.advance(by: 2 * Self.hour)
    let new = TestDisk(insteadOf: old, store, usesMSIX: usesMSIX, history: makeHistory())
    try StateHarness.move(
      old.controller, to: new.controller, registers: Self.registers
    ) { () throws in
      #expect(new.sink.messages.isEmpty)
      #expect(new.line.isAsserted == !usesMSIX)
      #expect(try busy.late.poll() == nil)
    }
    for queue in busy.queues { queue.controller = new.controller }

    #expect(try busy.late.wait().identifier == late)
    let sector = Array(store.contents[(9 * 512)..<(10 * 512)])
    #expect(try new.memory.read(at: GPA(Self.data + 0x2000), byteCount: 512) == sector)
    busy.wrapped.ring()
    #expect(try busy.wrapped.wait().status == .success)
    for number in 0..<20 {
      #expect(try busy.wrapped.run(.io(.read, UInt64(number), 1)).status == .success)
    }
    for _ in 0..<5 { #expect(try busy.full.wait().status == .success) }
    #expect(try busy.full.run(.io(.flush, 0, 1)).status == .success)
    if usesMSIX {
      // A completion is there before its message is.
      try waitUntil { Set(new.sink.messages.map(\.data)).isSuperset(of: [1, 2, 4]) }
    } else {
      try waitUntil { !new.line.isAsserted }
    }

    #expect(try new.admin.run(.admin(.getFeatures, 0x04)).result == 0x160)
    for _ in 0..<4 { try new.admin.enqueue(.admin(.asynchronousEventRequest)) }
    new.admin.ring()
    // One request of four was there. Which of the others comes too late is the threads' to say.
    #expect(try new.admin.wait().status == .eventRequestLimitExceeded)
    try checkHistory(new)
  }

  private func checkHistory(_ disk: TestDisk) throws {
    clock.advance(by: Self.hour)
    let log = NVMeCommand.admin(.getLogPage, prp1: Self.data, 127 << 16 | 2)
    #expect(try disk.admin.run(log).status == .success)
    let health = try disk.memory.read(at: GPA(Self.data), byteCount: 512)
    #expect(health.loadLE(at: 64, as: UInt64.self) == 11 + 3 + 1 + 1 + 20, "reads")
    #expect(health.loadLE(at: 128, as: UInt64.self) == 3, "hours")
    #expect(health.loadLE(at: 176, as: UInt64.self) == 2, "failures")
    let errors = NVMeCommand.admin(.getLogPage, prp1: Self.data, 31 << 16 | 1)
    #expect(try disk.admin.run(errors).status == .success)
    let entries = try disk.memory.read(at: GPA(Self.data), byteCount: 128)
    #expect(entries.loadLE(at: 0, as: UInt64.self) == 2)
    #expect(entries.loadLE(at: 64, as: UInt64.self) == 1)
    #expect(entries.loadLE(at: 64 + 24, as: UInt32.self) == 3, "the namespace that there is not")
  }

  @Test("after a pause without a restore it goes on")
  func goesOn() throws {
    let busy = try makeBusy(usesMSIX: true, hasShadows: true)
    try busy.disk.controller.pause()
    let late = try busy.late.enqueue(.io(.read, 9, 1))
    busy.late.ring()
    #expect(try busy.late.poll() == nil)
    busy.disk.controller.resume()
    #expect(try busy.late.wait().identifier == late)
  }

  /// A disk that changed after its machine was saved is not taken again.
  @Test("what was rung before a pause is done before it")
  func finishes() throws {
    for _ in 0..<20 {
      let disk = try TestDisk(store)
      let queues = try (1...3).map { try disk.makePair($0, count: 64) }
      for queue in queues {
        for sector in 0..<40 as Range<UInt64> { try queue.enqueue(.io(.write, sector, 1)) }
        queue.ring()
      }
      try disk.controller.pause()
      let count = store.callCount(.write)
      disk.controller.resume()
      for queue in queues { for _ in 0..<40 { _ = try queue.wait() } }
      #expect(store.callCount(.write) == count, "written after the pause")
      disk.controller.stop()
    }
  }

  @Test("a store that keeps nothing makes the pause fail, and the disk goes on")
  func flushFails() throws {
    let disk = try TestDisk(store)
    let queue = try disk.makePair(1)
    store.fail(.flush, .host(5))
    #expect(throws: StateError.self) { try disk.controller.pause() }
    disk.controller.resume()
    #expect(try queue.run(.io(.read, 0, 1)).status == .success)
  }

  @Test("damaged state is refused, or does no harm", arguments: [true, false])
  func damage(hasShadows: Bool) throws {
    let busy = try makeBusy(usesMSIX: true, hasShadows: hasShadows)
    let old = busy.disk
    try old.controller.pause()
    let bytes = try StateHarness.save(old.controller)
    old.controller.stop()
    let context = PCIContext(memory: old.memory, messages: RecordingSink())
    let accepted = try StateHarness.damage(bytes) {
      NVMeController(
        store: store, identity: NVMeIdentity(serial: "S-1"), history: makeHistory(),
        queuePairCount: 4, context: context)
    } drive: { controller, generator in
      controller.makeBusMaster()
      controller.engine.serveRestoredQueues()
      controller.engine.serveWaitingQueues()
      for _ in 0..<10 {
        let doorbell = 0x1000 + 4 * UInt64.random(in: 0...10, using: &generator)
        let value = UInt64.random(in: 0...9, using: &generator)
        controller.writeBAR(0, offset: doorbell, width: 4, value: value)
        controller.engine.serveWaitingQueues()
      }
      _ = controller.activity
      _ = Self.registers(controller)
      controller.writeBAR(0, offset: 0x14, width: 4, value: 0x46_0000)
      controller.writeBAR(0, offset: 0x14, width: 4, value: 0x46_0001)
      controller.writeBAR(0, offset: 0x1000, width: 4, value: 1)
      controller.engine.serveWaitingQueues()
    }
    #expect(accepted > 100, "too little of it is driven")
  }
}
