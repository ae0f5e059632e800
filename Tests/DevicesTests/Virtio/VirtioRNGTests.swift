import DeviceKit
import GuestMemory
import TestSupport
import Testing
import ZeroTracker

@testable import Devices

/// The source of random numbers, and by it what all virtio devices have: the transport (virtio 1.2
/// §4.1) with queues of both kinds.
struct VirtioRNGTests {
  private typealias Offset = VirtioRegisters.Offset

  private static let kinds: [VirtioFeatures] = [
    [.version1], [.version1, .eventIndex, .indirectDescriptors], [.version1, .packedRing],
    [.version1, .packedRing, .eventIndex, .indirectDescriptors],
  ]

  private func driver(starts: Bool = true) throws -> VirtioTestDriver {
    try VirtioTestDriver(starts: starts) { .randomNumbers(context: $0) }
  }

  /// A driver with its queue, which is ready.
  private func begin(
    _ driver: VirtioTestDriver, _ features: VirtioFeatures, vector: UInt16 = .max
  ) throws -> TestRing {
    #expect(driver.negotiate(features))
    let ring = try TestRing(driver.memory, size: 8, isPacked: features.contains(.packedRing))
    driver.enable(0, ring, vector: vector)
    driver.ready()
    return ring
  }

  @Test(arguments: kinds)
  func buffersAreFilled(features: VirtioFeatures) throws {
    let driver = try driver()
    var ring = try begin(driver, features)
    var seen: Set<[UInt8]> = []
    for round in 0..<20 {
      try driver.memory.fill(at: GPA(0x20_0000), byteCount: 64, with: 0)
      let identifier = try ring.offer(
        [
          .init(address: 0x20_0000, byteCount: 24, isWritten: true),
          .init(address: 0x20_0020, byteCount: 8, isWritten: true),
        ], indirect: features.contains(.indirectDescriptors))
      driver.notify(0)
      var answers: [TestRing.Answer] = []
      try waitUntil {
        answers += try ring.answers()
        return !answers.isEmpty
      }
      #expect(answers == [.init(identifier: identifier, byteCount: 32)], "round \(round)")
      let bytes = try driver.memory.read(at: GPA(0x20_0000), byteCount: 64)
      #expect(bytes[24..<32].allSatisfy { $0 == 0 } && bytes[40...].allSatisfy { $0 == 0 })
      #expect(seen.insert(Array(bytes[0..<24])).inserted)
    }
    #expect(driver.status.rawValue == 0x0F)
  }

  /// What a request gets is bounded, whatever it asks for.
  @Test func aLargeRequestGetsSome() throws {
    let driver = try driver()
    var ring = try begin(driver, [.version1])
    try ring.offer([.init(address: 0x20_0000, byteCount: 1 << 20, isWritten: true)])
    try ring.offer([.init(address: 0x20_0000, byteCount: 1 << 20)])
    driver.notify(0)
    var answers: [TestRing.Answer] = []
    try waitUntil {
      answers += try ring.answers()
      return answers.count == 2
    }
    #expect(answers.map(\.byteCount) == [UInt32(VirtioRNG.maximumByteCount), 0])
    #expect(
      try driver.memory.read(
        at: GPA(0x20_0000 + UInt64(VirtioRNG.maximumByteCount)), byteCount: 4096)
        == [UInt8](repeating: 0, count: 4096))
  }

  /// Written through the tracker: a page that got numbers is reported no more.
  @Test func whatIsWrittenIsMarked() throws {
    let driver = try driver()
    var ring = try begin(driver, [.version1])
    let pages = PageRange(start: GPA(0x30_0000).page, pageCount: 2)
    #expect(driver.memory.tracker.snapshot().counts(in: pages).touched == 0)
    try ring.offer([.init(address: 0x30_0FFF, byteCount: 2, isWritten: true)])
    driver.notify(0)
    try waitUntil { try !ring.answers().isEmpty }
    #expect(driver.memory.tracker.snapshot().counts(in: pages).touched == 2)
  }
}
