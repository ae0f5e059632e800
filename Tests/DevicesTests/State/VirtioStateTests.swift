import Bytes
import DeviceKit
import GuestMemory
import HostSystem
import TestSupport
import Testing

@testable import Devices

/// The virtio transport, its queues of both kinds and the source of random numbers, saved and
/// restored.
@Suite(.timeLimit(.minutes(10))) struct VirtioStateTests {
  private typealias Offset = VirtioRegisters.Offset

  static let kinds: [VirtioFeatures] = [
    [.version1], [.version1, .eventIndex, .indirectDescriptors], [.version1, .packedRing],
    [.version1, .packedRing, .eventIndex, .indirectDescriptors],
  ]

  /// A source of random numbers whose ring has wrapped.
  private func begin(
    _ features: VirtioFeatures, usesMSIX: Bool
  ) throws -> (driver: VirtioTestDriver, ring: TestRing) {
    let driver = try VirtioTestDriver { .randomNumbers(context: $0) }
    if usesMSIX { driver.useMSIX() }
    #expect(driver.negotiate(features))
    var ring = try TestRing(driver.memory, size: 8, isPacked: features.contains(.packedRing))
    driver.enable(0, ring, vector: usesMSIX ? 1 : .max)
    driver.ready()
    for _ in 0..<11 { try Self.fill(driver, &ring) }
    return (driver, ring)
  }

  private static func fill(_ driver: VirtioTestDriver, _ ring: inout TestRing) throws {
    try ring.askForInterrupt(after: 0)
    let identifier = try ring.offer([.init(address: 0x20_0000, byteCount: 16, isWritten: true)])
    driver.notify(0)
    try expect(identifier, &ring)
  }

  private static func expect(_ identifier: UInt16, _ ring: inout TestRing) throws {
    var answers: [TestRing.Answer] = []
    try waitUntil {
      answers += try ring.answers()
      return !answers.isEmpty
    }
    #expect(answers == [.init(identifier: identifier, byteCount: 16)])
  }

  @Test("a queue goes on where it was, and serves what came in during the pause", arguments: kinds)
  func moves(features: VirtioFeatures) throws {
    var (old, ring) = try begin(features, usesMSIX: true)
    try old.device.pause()
    try ring.askForInterrupt(after: 0)
    let late = try ring.offer([.init(address: 0x20_0000, byteCount: 16, isWritten: true)])
    old.notify(0)
    let new = try VirtioTestDriver(insteadOf: old) { .randomNumbers(context: $0) }
    try StateHarness.move(
      old.device, to: new.device, registers: VirtioTestDriver.registers
    ) { () throws in
      #expect(try ring.answers().isEmpty && new.sink.messages.isEmpty)
    }
    try Self.expect(late, &ring)
    try waitUntil { new.sink.messages.map(\.data) == [1] }
    for _ in 0..<20 { try Self.fill(new, &ring) }
    try waitUntil { new.sink.messages.count == 21 }
    #expect(new.status.rawValue == 0x0F)
    // The registers are its own: they can be reset, and begin anew.
    #expect(new.negotiate(features) && new.common(Offset.queueEnable, 2) == 0)
  }

  @Test("an interrupt by the pin stays until the guest has read why")
  func pin() throws {
    let (old, _) = try begin([.version1], usesMSIX: false)
    #expect(old.line.isAsserted)
    let new = try VirtioTestDriver(insteadOf: old) { .randomNumbers(context: $0) }
    try StateHarness.move(
      old.device, to: new.device, registers: VirtioTestDriver.registers
    ) { () throws in
      #expect(new.line.isAsserted)
    }
    #expect(new.read(3, 0, 1) == 1 && !new.line.isAsserted)
  }

  @Test("a device that needs a reset still does")
  func fault() throws {
    var (old, ring) = try begin([.version1], usesMSIX: true)
    try ring.offer([.init(address: 1 << 40, byteCount: 16, isWritten: true)])
    old.notify(0)
    try waitUntil { old.status.contains(.needsReset) }
    let new = try VirtioTestDriver(insteadOf: old) { .randomNumbers(context: $0) }
    try StateHarness.move(
      old.device, to: new.device, registers: VirtioTestDriver.registers)
    #expect(new.status.contains(.needsReset))
    try ring.offer([.init(address: 0x20_0000, byteCount: 16, isWritten: true)])
    new.notify(0)
    #expect(new.negotiate([.version1]) && !new.status.contains(.needsReset))
  }

  @Test("damaged state is refused, or does no harm", arguments: kinds)
  func damage(features: VirtioFeatures) throws {
    var (old, ring) = try begin(features, usesMSIX: true)
    try old.device.pause()
    try ring.offer([.init(address: 0x20_0000, byteCount: 16, isWritten: true)])
    let bytes = try StateHarness.save(old.device)
    let context = PCIContext(memory: old.memory, messages: RecordingSink())
    let accepted = try StateHarness.damage(bytes) {
      VirtioPCIDevice.randomNumbers(context: context)
    } drive: { device, generator in
      device.makeBusMaster()
      let rng = try #require(device.transport.model as? VirtioRNG)
      for _ in 0..<4 {
        try ring.offer([.init(address: 0x20_0000, byteCount: 16, isWritten: true)])
        device.driveVirtio(&generator) { rng.serveIfWaiting() }
      }
    }
    #expect(accepted > 100, "too little of it is driven")
  }
}

extension VirtioPCIDevice {
  /// Notifies, reads, and writes registers, among them those that begin and reset queues.
  func driveVirtio(
    _ generator: inout SeededGenerator, serve: () throws -> Void
  ) rethrows {
    for queue in 0..<UInt64(transport.link.queues.count) {
      writeBAR(0, offset: 0x3000 + 4 * queue, width: 2, value: queue)
      try serve()
    }
    _ = VirtioTestDriver.registers(self)
    _ = readBAR(0, offset: 0x1000, width: 1)
    let (offset, width): (UInt64, Int) =
      [(0x10, 2), (0x16, 2), (0x18, 2), (0x1A, 2), (0x1C, 2), (0x20, 8), (0x3A, 2), (0x14, 1)]
      .randomElement(using: &generator) ?? (0x14, 1)
    writeBAR(0, offset: offset, width: width, value: .random(in: 0...3, using: &generator))
    try serve()
  }
}
