import Bytes
import DeviceKit
import GuestMemory
import HostSystem
import Sandbox
import TestSupport
import Testing

@testable import Devices

/// A memory balloon that is paused, saved and restored.
@Suite(.timeLimit(.minutes(10))) struct VirtioBalloonStateTests {
  private typealias Offset = VirtioRegisters.Offset

  private static let kinds: [VirtioFeatures] = [
    [.version1, .balloonStatistics], [.version1, .packedRing, .balloonStatistics],
  ]
  private static let lists: UInt64 = 0x30_0000

  /// A balloon that has pages and a buffer for statistics.
  private struct Machine {
    let driver: VirtioTestDriver
    let balloon: Balloon
    var rings: [TestRing] = []

    init(_ features: VirtioFeatures) throws {
      let balloon = Balloon(targetPageCount: 5)
      self.balloon = balloon
      driver = try VirtioTestDriver(role: .balloon) { .balloon(balloon, context: $0) }
      driver.useMSIX()
      #expect(driver.negotiate(features))
      driver.setCommon(Offset.configurationVector, 2, 4)
      for queue in 0..<3 {
        let ring = try TestRing(
          driver.memory, size: 8, isPacked: features.contains(.packedRing),
          start: 0x10_0000 + 0x4_0000 * UInt64(queue))
        driver.enable(queue, ring, vector: UInt16(queue))
        rings.append(ring)
      }
      driver.ready()
      try driver.memory.write([UInt32(0x380), 0x381].littleEndianBytes, at: GPA(lists))
      driver.write(4, 4, 4, 2)
      for _ in 0..<11 { try give(driver) }
      try rings[2].offer([.init(address: lists, byteCount: 20)])
      driver.notify(2)
      // Not by the balloon's activity: a look at it gives the buffer back.
      let model = try #require(driver.device.transport.model as? VirtioBalloon)
      try waitUntil { model.driver.withLock { $0.statistics != nil } }
    }

    mutating func give(_ driver: VirtioTestDriver) throws {
      try rings[0].offer([.init(address: lists, byteCount: 8)])
      driver.notify(0)
      var ring = rings[0]
      try waitUntil { try ring.answers().count == 1 }
      rings[0] = ring
    }
  }

  @Test(
    "target, pages and the buffer for statistics are there in another machine", arguments: kinds)
  func moves(features: VirtioFeatures) throws {
    var machine = try Machine(features)
    machine.balloon.targetPageCount = 7
    let balloon = Balloon(targetPageCount: 0)
    let new = try VirtioTestDriver(insteadOf: machine.driver, role: .balloon) {
      .balloon(balloon, context: $0)
    }
    try machine.driver.device.pause()
    let before = machine.balloon.activity
    #expect(try machine.rings[2].answers().isEmpty)
    try StateHarness.move(
      machine.driver.device, to: new.device, registers: VirtioTestDriver.registers
    ) { () throws in
      #expect(new.sink.messages.isEmpty)
    }
    let after = balloon.activity
    #expect(after.targetPageCount == 7 && after.actualPageCount == 2 && after.hasDriver)
    #expect(after.givenBackByteCount == before.givenBackByteCount)
    #expect(after.keptPageCount == before.keptPageCount)
    // A look asks for statistics: the driver gets its buffer back.
    var ring = machine.rings[2]
    var answers: [TestRing.Answer] = []
    try waitUntil {
      _ = balloon.activity
      answers += try ring.answers()
      return !answers.isEmpty
    }
    machine.rings[2] = ring
    #expect(answers.count == 1)
    for _ in 0..<11 { try machine.give(new) }
    #expect(new.status.rawValue == 0x0F)
  }

  @Test("a new target waits for the end of a pause")
  func waits() throws {
    let machine = try Machine(Self.kinds[0])
    let generation = machine.driver.common(Offset.generation, 1)
    try machine.driver.device.pause()
    machine.balloon.targetPageCount = 9
    #expect(machine.driver.common(Offset.generation, 1) == generation)
    machine.driver.device.resume()
    #expect(machine.driver.common(Offset.generation, 1) == generation + 1)
    #expect(machine.driver.sink.messages.last?.data == 4)
  }

  @Test("damaged state is refused, or does no harm", arguments: kinds)
  func damage(features: VirtioFeatures) throws {
    var machine = try Machine(features)
    let memory = machine.driver.memory
    try machine.driver.device.pause()
    let bytes = try StateHarness.save(machine.driver.device)
    let context = PCIContext(memory: memory, messages: RecordingSink())
    let accepted = try StateHarness.damage(bytes) {
      VirtioPCIDevice.balloon(Balloon(), context: context)
    } drive: { device, generator in
      device.makeBusMaster()
      let model = try #require(device.transport.model as? VirtioBalloon)
      var server = VirtioBalloonServer(model)
      try machine.rings[0].offer([.init(address: Self.lists, byteCount: 8)])
      try machine.rings[2].offer([.init(address: Self.lists, byteCount: 20)])
      _ = model.balloon.activity
      device.driveVirtio(&generator) {
        while let item = model.work.nextIfWaiting() { server.serve(item) }
      }
    }
    #expect(accepted > 100, "too little of it is driven")
  }
}
