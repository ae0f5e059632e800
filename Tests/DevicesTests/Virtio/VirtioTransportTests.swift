import Bytes
import DeviceKit
import GuestMemory
import TestSupport
import Testing

@testable import Devices

/// Virtio over PCI (virtio 1.2 §4.1), and what a driver may do wrong there, with the source of
/// random numbers as the device.
struct VirtioTransportTests {
  private typealias Offset = VirtioRegisters.Offset

  private func driver(starts: Bool = true) throws -> VirtioTestDriver {
    try VirtioTestDriver(starts: starts) { .randomNumbers(context: $0) }
  }

  private func begin(
    _ driver: VirtioTestDriver, _ features: VirtioFeatures = [.version1], vector: UInt16 = .max
  ) throws -> TestRing {
    #expect(driver.negotiate(features))
    let ring = try TestRing(driver.memory, size: 8, isPacked: features.contains(.packedRing))
    driver.enable(0, ring, vector: vector)
    driver.ready()
    return ring
  }

  @Test func itsIdentityAndStructures() throws {
    let driver = try driver()
    #expect(driver.configuration(0, 4) == 0x1044_1AF4)
    #expect(driver.configuration(8, 1) == 1)
    #expect(driver.configuration(0x2C, 4) == 0x1044_1AF4)
    #expect(Set(driver.structures.keys) == [1, 2, 3, 4, 5])
    for (kind, offset) in driver.structures where kind != 5 {
      let capability = driver.capability(of: kind)
      #expect(driver.configuration(capability + 2, 1) == (kind == 2 ? 20 : 16))
      #expect(driver.configuration(capability + 4, 1) == 0, "BAR 0")
      #expect(offset + driver.configuration(capability + 12, 4) <= 0x4000)
    }
    #expect(driver.notifyMultiplier == 4)
    #expect(driver.common(Offset.queueCount, 2) == 1)
  }

  @Test func featuresAreNegotiated() throws {
    let driver = try driver()
    #expect(driver.offered == .ofTransport)
    driver.setCommon(Offset.deviceFeatureSelect, 4, 2)
    #expect(driver.common(Offset.deviceFeature, 4) == 0)
    #expect(!driver.negotiate([.eventIndex]), "not of version 1")
    #expect(!driver.negotiate([.version1, VirtioFeatures(rawValue: 1 << 33)]), "not offered")
    #expect(driver.negotiate([.version1, .packedRing]))
    // Too late.
    driver.accept([.version1, .eventIndex])
    driver.setCommon(Offset.driverFeatureSelect, 4, 1)
    #expect(driver.common(Offset.driverFeature, 4) == 5)
  }

  /// A driver that skips *FEATURES_OK* has no device.
  @Test func noQueueWithoutFeatures() throws {
    let driver = try driver()
    driver.status = [.acknowledge, .driver, .driverOK]
    #expect(driver.status == [.acknowledge, .driver])
  }

  @Test func registersOfQueues() throws {
    let driver = try driver()
    driver.negotiate([.version1])
    #expect(driver.common(Offset.queueSize, 2) == 8)
    for size in [0, 9, 0xFFFF] as [UInt64] { driver.setCommon(Offset.queueSize, 2, size) }
    #expect(driver.common(Offset.queueSize, 2) == 8)
    driver.setCommon(Offset.queueSize, 2, 4)
    #expect(driver.common(Offset.queueSize, 2) == 4)
    driver.setCommon(Offset.descriptors, 8, 0x1122_3344_5566_7788)
    #expect(driver.common(Offset.descriptors, 4) == 0x5566_7788)
    #expect(driver.common(Offset.descriptors + 4, 4) == 0x1122_3344)
    driver.setCommon(Offset.descriptors + 4, 4, 0xAABB_CCDD)
    #expect(driver.common(Offset.descriptors, 8) == 0xAABB_CCDD_5566_7788)
    // Across two registers, and outside all.
    driver.setCommon(Offset.descriptors + 4, 8, .max)
    driver.setCommon(Offset.descriptors + 1, 4, 0)
    #expect(driver.common(Offset.descriptors, 8) == 0xAABB_CCDD_5566_7788)
    #expect(driver.common(Offset.driverArea, 8) == 0)
    driver.setCommon(Offset.queueVector, 2, 7)
    #expect(driver.common(Offset.queueVector, 2) == 0xFFFF, "a vector that there is not")
    driver.setCommon(Offset.queueVector, 2, 1)
    #expect(driver.common(Offset.queueVector, 2) == 1)
    driver.setCommon(Offset.configurationVector, 2, 0)
    #expect(driver.common(Offset.configurationVector, 2) == 0)
    // No such queue.
    driver.setCommon(Offset.queueSelect, 2, 1)
    #expect(driver.common(Offset.queueSize, 2) == 0)
    driver.setCommon(Offset.queueEnable, 2, 1)
    #expect(driver.common(Offset.queueEnable, 2) == 0)
    // One that works stays as it is.
    driver.setCommon(Offset.queueSelect, 2, 0)
    driver.setCommon(Offset.queueEnable, 2, 1)
    driver.setCommon(Offset.descriptors, 8, 0)
    #expect(driver.common(Offset.descriptors, 8) == 0xAABB_CCDD_5566_7788)
    driver.status = []
    #expect(driver.common(Offset.queueEnable, 2) == 0)
    #expect(driver.common(Offset.descriptors, 8) == 0)
    #expect(driver.common(Offset.queueVector, 2) == 0xFFFF)
  }

  @Test func interruptsByThePin() throws {
    let driver = try driver()
    var ring = try begin(driver)
    try ring.offer([.init(address: 0x20_0000, byteCount: 8, isWritten: true)])
    driver.notify(0)
    try waitUntil { driver.line.isAsserted }
    #expect(driver.read(3, 0, 1) == 1)
    #expect(!driver.line.isAsserted)
    #expect(driver.read(3, 0, 1) == 0, "reading clears")
    #expect(driver.sink.messages.isEmpty)
  }

  @Test func interruptsByMessage() throws {
    let driver = try driver()
    driver.useMSIX()
    var ring = try begin(driver, vector: 1)
    for count in 1...3 {
      try ring.offer([.init(address: 0x20_0000, byteCount: 8, isWritten: true)])
      driver.notify(0)
      try waitUntil { driver.sink.messages.count == count }
      #expect(driver.sink.messages.allSatisfy { $0.data == 1 })
    }
    #expect(driver.read(3, 0, 1) == 0)
    #expect(driver.line.edgeCount == 0)
  }

  /// A driver that breaks the rules hears of it, and nothing is done for it until it resets.
  @Test(arguments: [false, true])
  func aFaultAsksForAReset(isPacked: Bool) throws {
    let driver = try driver()
    driver.useMSIX()
    let features: VirtioFeatures = isPacked ? [.version1, .packedRing] : [.version1]
    #expect(driver.negotiate(features))
    driver.setCommon(Offset.configurationVector, 2, 0)
    var ring = try TestRing(driver.memory, size: 8, isPacked: isPacked)
    driver.enable(0, ring, vector: 1)
    driver.ready()
    try ring.offer([.init(address: 0x4000_0000, byteCount: 8, isWritten: true)])
    driver.notify(0)
    try waitUntil { driver.status.contains(.needsReset) }
    #expect(driver.sink.messages.map(\.data) == [0], "the configuration's vector")
    try ring.offer([.init(address: 0x20_0000, byteCount: 8, isWritten: true)])
    driver.notify(0)
    #expect(!driver.device.transport.link.queues[0].isLive)

    var fresh = try begin(driver, features, vector: 1)
    #expect(driver.status.rawValue == 0x0F)
    try fresh.offer([.init(address: 0x20_0000, byteCount: 8, isWritten: true)])
    driver.notify(0)
    try waitUntil { try !fresh.answers().isEmpty }
  }

  @Test func aRingOutsideRAMAsksForAReset() throws {
    let driver = try driver()
    #expect(driver.negotiate([.version1]))
    driver.enable(
      0, try TestRing(driver.memory, size: 8, isPacked: false, start: 0x10_0000))
    driver.status = []
    #expect(driver.negotiate([.version1]))
    driver.setCommon(Offset.descriptors, 8, 0xFFFF_FFFF_FFFF_FFF0)
    driver.setCommon(Offset.queueEnable, 2, 1)
    driver.ready()
    #expect(driver.status.contains(.needsReset))
    driver.status = []
    #expect(driver.status == [])
  }

  /// After a reset nothing is written any more, and no interrupt comes.
  @Test func aResetEndsEverything() throws {
    let driver = try driver()
    var ring = try begin(driver)
    try ring.offer([.init(address: 0x20_0000, byteCount: 8, isWritten: true)])
    driver.notify(0)
    try waitUntil { try !ring.answers().isEmpty && driver.line.isAsserted }
    driver.status = []
    #expect(driver.status == [])
    #expect(!driver.line.isAsserted)
    try driver.memory.fill(at: GPA(0x20_0000), byteCount: 8, with: 0)
    try ring.offer([.init(address: 0x20_0000, byteCount: 8, isWritten: true)])
    driver.notify(0)
    #expect(driver.device.transport.link.queues[0].work { _, _ in } == nil)
    #expect(try driver.memory.read(at: GPA(0x20_0000), byteCount: 8) == [0, 0, 0, 0, 0, 0, 0, 0])
  }

  @Test func aQueueIsResetAlone() throws {
    let driver = try driver()
    _ = try begin(driver, [.version1, .ringReset])
    driver.setCommon(Offset.queueSelect, 2, 0)
    driver.setCommon(Offset.queueReset, 2, 1)
    #expect(driver.common(Offset.queueReset, 2) == 0, "done")
    #expect(driver.common(Offset.queueEnable, 2) == 0)
    #expect(driver.status.rawValue == 0x0F)
    var ring = try TestRing(driver.memory, size: 4, isPacked: false, start: 0x18_0000)
    driver.enable(0, ring)
    try ring.offer([.init(address: 0x20_0000, byteCount: 8, isWritten: true)])
    driver.notify(0)
    try waitUntil { try !ring.answers().isEmpty }
  }

  @Test func aQueueIsNotResetWithoutTheFeature() throws {
    let driver = try driver()
    _ = try begin(driver)
    driver.setCommon(Offset.queueReset, 2, 1)
    #expect(driver.common(Offset.queueEnable, 2) == 1)
  }

  /// Requests that came while the function was no bus master wait for it.
  @Test func withoutBusMasterNothingIsTouched() throws {
    let driver = try driver()
    var ring = try begin(driver)
    driver.configure(0x04, 2, 2)
    try ring.offer([.init(address: 0x20_0000, byteCount: 8, isWritten: true)])
    driver.notify(0)
    #expect(driver.device.transport.link.queues[0].work { _, _ in } == nil)
    #expect(try ring.answers() == [])
    driver.configure(0x04, 2, 6)
    try waitUntil { try !ring.answers().isEmpty }
  }

  @Test func resetsOfFunctionAndMachine() throws {
    let driver = try driver()
    for _ in 0..<2 {
      var ring = try begin(driver)
      try ring.offer([.init(address: 0x20_0000, byteCount: 8, isWritten: true)])
      driver.notify(0)
      try waitUntil { try !ring.answers().isEmpty }
      driver.device.reset()
      driver.configure(0x10, 4, VirtioTestDriver.window)
      driver.configure(0x04, 2, 6)
      #expect(driver.status == [])
      #expect(!driver.line.isAsserted)
    }
  }

  /// Registers by the configuration space alone, as early firmware reads them (§4.1.4.9).
  @Test func theWindowReachesTheRegisters() throws {
    let driver = try driver()
    let capability = driver.capability(of: 5)
    func aim(_ offset: Int, _ count: Int, bar: UInt64 = 0) {
      driver.configure(capability + 4, 1, bar)
      driver.configure(capability + 8, 4, UInt64(offset))
      driver.configure(capability + 12, 4, UInt64(count))
    }
    aim(Offset.status, 1)
    driver.configure(capability + 16, 4, 3)
    #expect(driver.status == [.acknowledge, .driver])
    #expect(driver.configuration(capability + 16, 4) == 3)
    aim(Offset.queueCount, 2)
    #expect(driver.configuration(capability + 16, 2) == 1)
    aim(Offset.deviceFeatureSelect, 4)
    driver.configure(capability + 16, 4, 1)
    aim(Offset.deviceFeature, 4)
    #expect(
      driver.configuration(capability + 16, 4) == VirtioFeatures.ofTransport.rawValue >> 32)
    // MSI-X is in the same BAR.
    aim(0x400C, 4)
    #expect(driver.configuration(capability + 16, 4) == 1)
    // Nowhere: the data stays what was written.
    for (offset, count, bar) in [
      (0x7FFE, 4, 0), (0x8000, 1, 0), (Offset.status, 3, 0), (Offset.status, 0, 0),
      (Offset.status, 1, 1), (0x15, 2, 0), (0xFFFF_FFFF, 1, 0),
    ] as [(Int, Int, UInt64)] {
      aim(offset, count, bar: bar)
      driver.configure(capability + 16, 4, 0)
      #expect(driver.configuration(capability + 16, 4) == 0)
    }
    #expect(driver.status == [.acknowledge, .driver])
  }

  /// Any access of any width, anywhere.
  @Test func hostileAccesses() throws {
    let driver = try driver(starts: false)
    var random = SeededGenerator(seed: 0x77)
    for _ in 0..<20_000 {
      let width = [1, 2, 4, 8][Int(random.next() % 4)]
      let offset = UInt64(random.next() % 0x8000) & ~UInt64(random.next() % 8)
      guard offset + UInt64(width) <= 0x8000 else { continue }
      let value = random.nextOfAnyMagnitude()
      if random.next() % 2 == 0 {
        driver.device.writeBAR(0, offset: offset, width: width, value: value)
      } else {
        _ = driver.device.readBAR(0, offset: offset, width: width)
      }
    }
    driver.device.writeBAR(0, offset: UInt64(Offset.status), width: 1, value: 0)
    #expect(driver.common(Offset.status, 1) == 0)
  }
}
