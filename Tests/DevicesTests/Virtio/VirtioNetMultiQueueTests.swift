import DeviceKit
import GuestMemory
import HostSystem
import TestSupport
import Testing

@testable import Devices

/// A network card with several queue pairs (virtio 1.2 §5.1.2 and §5.1.6.5.5).
@Suite(.timeLimit(.minutes(10))) struct VirtioNetMultiQueueTests {
  private typealias Offset = VirtioRegisters.Offset

  private static let kinds: [VirtioFeatures] = [
    MultiQueueCard.features, MultiQueueCard.features.union([.packedRing, .eventIndex]),
  ]

  @Test(
    "pairs, queues and vectors by what the far end has, 8 pairs at most",
    arguments: [(1, 1), (2, 2), (3, 3), (8, 8), (9, 8)])
  func whatItSaysOfItself(cableCount: Int, pairCount: Int) throws {
    let others = (1..<cableCount).map { _ in TestCable() }
    let cable = TestCable(others: others)
    let driver = try VirtioTestDriver {
      .network(cable, address: MultiQueueCard.address, context: $0)
    }
    #expect(driver.offered.contains(.multiQueue) == (pairCount > 1))
    #expect(driver.read(4, 8, 2) == UInt64(pairCount))
    #expect(driver.read(4, 10, 2) == 1500, "the MTU is behind it")
    #expect(driver.common(Offset.queueCount, 2) == UInt64(2 * pairCount + 1))
    #expect(driver.device.endpoint.vectorCount == 2 * pairCount + 2)
    let sizes = (0...2 * pairCount).map { queue in
      driver.setCommon(Offset.queueSelect, 2, UInt64(queue))
      return driver.common(Offset.queueSize, 2)
    }
    #expect(sizes == Array(repeating: 512, count: 2 * pairCount) + [64])
  }

  @Test("frames go out of both pairs and come in by both, with interrupts", arguments: kinds)
  func bothPairs(features: VirtioFeatures) throws {
    var card = try MultiQueueCard(features)
    #expect(card.cables[0].toldPairCount == 1)
    #expect(try card.usePairs(2) == 0)
    try waitUntil { card.cables[0].toldPairCount == 2 }
    for mark in 0..<20 as Range<UInt8> {
      let pair = Int(mark & 1)
      try card.send(mark, by: pair)
      #expect(try card.cables[pair].takeSent(1) == [MultiQueueCard.frame(mark)])
      try card.offer(to: pair)
      card.cables[pair].put([MultiQueueCard.frame(mark)])
      #expect(try card.takeFrame(from: pair) == MultiQueueCard.frame(mark))
    }
    if !features.contains(.eventIndex) {
      try waitUntil { Set(card.driver.sink.messages.map(\.data)) == [0, 1, 2, 3, 4] }
    }
    #expect(card.cables.allSatisfy { $0.sent.isEmpty })
    #expect(!card.driver.status.contains(.needsReset))
  }

  @Test("until the driver asks, and again when it wants one, the second pair receives nothing")
  func onePair() throws {
    var card = try MultiQueueCard()
    for _ in 0..<4 {
      try card.offer(to: 0)
      try card.offer(to: 1)
    }
    try card.expectDropped(1, by: 1)
    card.cables[0].put([MultiQueueCard.frame(2)])
    #expect(try card.takeFrame(from: 0) == MultiQueueCard.frame(2))
    #expect(try card.usePairs(2) == 0)
    card.cables[1].put([MultiQueueCard.frame(3)])
    #expect(try card.takeFrame(from: 1) == MultiQueueCard.frame(3))
    #expect(try card.usePairs(1) == 0)
    try waitUntil { card.cables[0].toldPairCount == 1 }
    try card.expectDropped(4, by: 1)
    card.cables[0].put([MultiQueueCard.frame(5)])
    #expect(try card.takeFrame(from: 0) == MultiQueueCard.frame(5))
    // What is still in its queue to be sent goes out.
    try card.send(6, by: 1)
    #expect(try card.cables[1].takeSent(1) == [MultiQueueCard.frame(6)])
    #expect(try card.usePairs(2) == 0)
    card.cables[1].put([MultiQueueCard.frame(7)])
    #expect(try card.takeFrame(from: 1) == MultiQueueCard.frame(7))
  }

  @Test("frames that wait for buffers of a pair that is left are dropped")
  func leftWithFrames() throws {
    var card = try MultiQueueCard()
    #expect(try card.usePairs(2) == 0)
    let cable = card.cables[1]
    cable.put([MultiQueueCard.frame(1)])
    try waitUntil { cable.incomingCount == 0 }
    #expect(!cable.isIdle)
    #expect(try card.usePairs(1) == 0)
    try waitUntil { cable.isIdle }
    #expect(try card.usePairs(2) == 0)
    try card.offer(to: 1)
    cable.put([MultiQueueCard.frame(2)])
    #expect(try card.takeFrame(from: 1) == MultiQueueCard.frame(2))
  }

  @Test("numbers that cannot be change nothing")
  func impossibleCounts() throws {
    var card = try MultiQueueCard()
    #expect(try card.usePairs(2) == 0)
    for count in [0, 3, 4, 0x8000, 0x8001, 0xFFFF] as [UInt16] {
      #expect(try card.usePairs(count) == 1, "\(count)")
    }
    for bytes: [UInt8] in [[4, 0], [4, 0, 1], [4, 1, 1, 0], [4, 2, 1, 0], [4, 0xFF, 1, 0]] {
      #expect(try card.command(bytes) == 1, "\(bytes)")
    }
    try card.offer(to: 1)
    card.cables[1].put([MultiQueueCard.frame(1)])
    #expect(try card.takeFrame(from: 1) == MultiQueueCard.frame(1))
    // What follows the number is not looked at.
    #expect(try card.command([4, 0, 1, 0, 9, 9]) == 0)
    try card.expectDropped(2, by: 1)
    #expect(!card.driver.status.contains(.needsReset))
  }

  @Test("a driver that knows of one pair has its control queue behind it, and nothing else")
  func notNegotiated() throws {
    var card = try MultiQueueCard([.version1, .controlQueue, .controlReceive])
    #expect(try card.command([0, 0, 0]) == 0)
    #expect(try card.usePairs(1) == 1)
    #expect(try card.usePairs(2) == 1)
    #expect(card.cables[0].toldPairCount == 1)
    // Queues that there are not for it.
    var ring = try TestRing(card.driver.memory, size: 8, isPacked: false, start: 0x14_0000)
    card.driver.enable(3, ring)
    try ring.offer([.init(address: 0x30_0000, byteCount: 72)])
    for queue in 3...4 { card.driver.notify(queue) }
    // The thread of the second pair looks into its queue all the same, as it does when it begins.
    let net = try #require(card.driver.device.transport.model as? VirtioNet)
    net.pairs[1].sending.add(0)
    #expect(net.pairs[1].sending.waitForEnd(count: 1, seconds: 60))
    // A buffer in the control queue is not one of the second pair's.
    card.cables[1].put([MultiQueueCard.frame(1)])
    try waitUntil { card.cables[1].isIdle }
    try card.send(2, by: 0)
    try card.offer(to: 0)
    card.cables[0].put([MultiQueueCard.frame(3)])
    #expect(try card.takeFrame(from: 0) == MultiQueueCard.frame(3))
    #expect(try card.command([0, 0, 1]) == 0)
    #expect(try ring.answers().isEmpty && card.cables[1].sent.isEmpty)
    #expect(card.driver.common(Offset.status, 1) == 0x0F)
  }

  @Test("a reset brings back one pair, and the next driver need not know of two")
  func reset() throws {
    var card = try MultiQueueCard()
    #expect(try card.usePairs(2) == 0)
    try waitUntil { card.cables[0].toldPairCount == 2 }
    card.driver.status = []
    try waitUntil { card.cables[0].toldPairCount == 1 }
    try card.begin(MultiQueueCard.features)
    try card.offer(to: 1)
    try card.expectDropped(1, by: 1)
    #expect(try card.usePairs(2) == 0)
    card.cables[1].put([MultiQueueCard.frame(2)])
    #expect(try card.takeFrame(from: 1) == MultiQueueCard.frame(2))
    // One that does not.
    #expect(card.driver.negotiate([.version1, .controlQueue, .controlReceive]))
    var ring = try TestRing(card.driver.memory, size: 8, isPacked: false, start: 0x4_0000)
    card.driver.enable(2, ring)
    card.driver.ready()
    try card.driver.memory.write([0, 0, 1] as [UInt8], at: GPA(0x3F_0000))
    try ring.offer([
      .init(address: 0x3F_0000, byteCount: 3),
      .init(address: 0x3F_8000, byteCount: 1, isWritten: true),
    ])
    card.driver.notify(2)
    #expect(try ring.answers().map(\.byteCount) == [1])
    #expect(try card.driver.memory.load(at: GPA(0x3F_8000), as: UInt8.self) == 0)
  }

  /// A notification that was on its way while the card was reset, and its driver became one that
  /// knows of two pairs: it would wait for the lock that it holds.
  @Test("a command in a queue that is the control queue no more is left alone")
  func lateNotification() throws {
    var card = try MultiQueueCard()
    let net = try #require(card.driver.device.transport.model as? VirtioNet)
    try card.driver.memory.write([4, 0, 1, 0] as [UInt8], at: GPA(0x3F_0000))
    try card.rings[2].offer([
      .init(address: 0x3F_0000, byteCount: 4),
      .init(address: 0x3F_8000, byteCount: 1, isWritten: true),
    ])
    card.driver.vcpu.run { net.serveControl(2) }
    #expect(try card.rings[2].answers().isEmpty)
    #expect(!card.driver.status.contains(.needsReset))
  }
}
