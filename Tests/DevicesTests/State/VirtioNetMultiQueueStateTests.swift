import Bytes
import DeviceKit
import GuestMemory
import HostSystem
import TestSupport
import Testing

@testable import Devices

/// A virtio network card with two queue pairs that is paused, saved and restored.
@Suite(.timeLimit(.minutes(10))) struct VirtioNetMultiQueueStateTests {
  private static let kinds: [VirtioFeatures] = [
    MultiQueueCard.features, MultiQueueCard.features.union([.packedRing, .eventIndex]),
  ]

  /// A card that uses both pairs, has received and sent, and has buffers left.
  private static func busyCard(_ features: VirtioFeatures) throws -> MultiQueueCard {
    var card = try MultiQueueCard(features)
    #expect(try card.usePairs(2) == 0)
    for pair in 0..<2 {
      for mark in 0..<5 as Range<UInt8> {
        try card.send(mark, by: pair)
        try card.offer(to: pair)
        card.cables[pair].put([MultiQueueCard.frame(mark)])
        #expect(try card.takeFrame(from: pair) == MultiQueueCard.frame(mark))
      }
      for _ in 0..<3 { try card.offer(to: pair) }
      _ = try card.cables[pair].takeSent(5)
    }
    return card
  }

  private static func device(_ cable: TestCable, _ context: PCIContext) -> VirtioPCIDevice {
    .network(cable, address: MultiQueueCard.address, context: context)
  }

  @Test("a card goes on with both pairs, and the far end is told of them", arguments: kinds)
  func moves(features: VirtioFeatures) throws {
    var card = try Self.busyCard(features)
    let (old, cables) = (card.driver, card.cables)
    try old.device.pause()
    for (pair, cable) in cables.enumerated() {
      cable.put([MultiQueueCard.frame(10 + UInt8(pair))])
      try waitUntil { cable.incomingCount == 0 }
      #expect(try card.rings[2 * pair].answers().isEmpty)
    }
    let new = try VirtioTestDriver(insteadOf: old) { Self.device(cables[0], $0) }
    try StateHarness.move(old.device, to: new.device, registers: VirtioTestDriver.registers)
    card.driver = new
    try waitUntil { cables[0].toldPairCount == 2 }
    for pair in 0..<2 {
      #expect(try card.takeFrame(from: pair) == MultiQueueCard.frame(10 + UInt8(pair)))
      for mark in 20..<30 as Range<UInt8> {
        try card.send(mark, by: pair)
        try card.offer(to: pair)
        cables[pair].put([MultiQueueCard.frame(mark)])
        #expect(try card.takeFrame(from: pair) == MultiQueueCard.frame(mark))
      }
      #expect(try cables[pair].takeSent(10).count == 10)
    }
    #expect(try card.usePairs(1) == 0)
    try card.expectDropped(1, by: 1)
    #expect(new.status.rawValue == 0x0F)
  }

  @Test("frames wait at both pairs for the end of a pause", arguments: kinds)
  func waits(features: VirtioFeatures) throws {
    var card = try Self.busyCard(features)
    let device = card.driver.device
    try device.pause()
    let bytes = try StateHarness.save(device)
    for (pair, cable) in card.cables.enumerated() {
      cable.put([MultiQueueCard.frame(7)])
      try waitUntil { cable.incomingCount == 0 }
      #expect(try card.rings[2 * pair].answers().isEmpty)
    }
    #expect(try StateHarness.save(device) == bytes)
    device.resume()
    for pair in 0..<2 { #expect(try card.takeFrame(from: pair) == MultiQueueCard.frame(7)) }
  }

  /// The number is the last of the state.
  @Test("a number of pairs that there are not, or that the driver does not know of, is refused")
  func impossibleCounts() throws {
    let card = try Self.busyCard(Self.kinds[0])
    try card.driver.device.pause()
    let bytes = try StateHarness.save(card.driver.device)
    #expect(bytes.loadLE(at: bytes.count - 8, as: UInt64.self) == 2)
    for count in [0, 3, 1 << 32, 1 << 63, .max] as [UInt64] {
      #expect(throws: StateError.invalid("\(Int64(bitPattern: count)) where 1 to 2 is possible")) {
        try StateHarness.restore(Self.changed(bytes, count), into: Self.copy(of: card))
      }
    }
    try StateHarness.restore(Self.changed(bytes, 1), into: Self.copy(of: card))

    let single = try MultiQueueCard([.version1, .controlQueue])
    try single.driver.device.pause()
    let other = try StateHarness.save(single.driver.device)
    try StateHarness.restore(other, into: Self.copy(of: single))
    #expect(throws: StateError.invalid("2 queue pairs of a driver that knows of one")) {
      try StateHarness.restore(Self.changed(other, 2), into: Self.copy(of: single))
    }
  }

  private static func changed(_ bytes: [UInt8], _ count: UInt64) -> [UInt8] {
    bytes.dropLast(8) + count.littleEndianBytes
  }

  /// A device as new at other cables, over the same memory.
  private static func copy(of card: MultiQueueCard) -> VirtioPCIDevice {
    device(
      MultiQueueCard.makeCables()[0],
      PCIContext(memory: card.driver.memory, messages: RecordingSink()))
  }

  @Test("a card with other queues is another card")
  func otherFarEnd() throws {
    let card = try Self.busyCard(Self.kinds[0])
    try card.driver.device.pause()
    let bytes = try StateHarness.save(card.driver.device)
    let context = PCIContext(memory: card.driver.memory, messages: RecordingSink())
    for count in [1, 3] {
      let cable = TestCable(others: (1..<count).map { _ in TestCable() })
      #expect(throws: StateError.self) {
        try StateHarness.restore(bytes, into: Self.device(cable, context))
      }
    }
  }

  @Test("damaged state is refused, or does no harm", arguments: kinds)
  func damage(features: VirtioFeatures) throws {
    var card = try Self.busyCard(features)
    try card.driver.device.pause()
    let bytes = try StateHarness.save(card.driver.device)
    let accepted = try StateHarness.damage(bytes, mutationCount: 1000) {
      Self.copy(of: card)
    } drive: { device, generator in
      device.makeBusMaster()
      let net = try #require(device.transport.model as? VirtioNet)
      var senders = net.pairs.map { VirtioNetSender(net, $0) }
      var receivers = net.pairs.map { VirtioNetReceiver(net, $0) }
      try card.driver.memory.write([4, 0, 1, 0] as [UInt8], at: GPA(0x3F_0000))
      for queue in card.rings.indices {
        try card.rings[queue].offer([
          .init(address: 0x3F_0000, byteCount: queue == 4 ? 4 : 72),
          .init(address: 0x3F_8000, byteCount: 512, isWritten: true),
        ])
      }
      device.driveVirtio(&generator) {
        for (index, pair) in net.pairs.enumerated() {
          while pair.sending.nextIfWaiting() != nil { senders[index].serve() }
          while pair.receiving.nextIfWaiting() != nil {}
          var frames = NetworkFrames(headerByteCount: 0, maximumFrameByteCount: 1514)
          frames.begin()
          // SAFETY: a byte is initialised and has no padding.
          unsafe frames.append(MultiQueueCard.frame(1).span.bytes)
          frames.finish()
          _ = receivers[index].deliver(&frames)
        }
      }
    }
    #expect(accepted > 50, "too little of it is driven")
  }
}
