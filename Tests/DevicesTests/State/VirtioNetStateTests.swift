import Bytes
import DeviceKit
import GuestMemory
import HostSystem
import TestSupport
import Testing

@testable import Devices

/// A virtio network card that is paused, saved and restored.
@Suite(.timeLimit(.minutes(10))) struct VirtioNetStateTests {
  private typealias Offset = VirtioRegisters.Offset

  private static let address: [UInt8] = [0x52, 0x54, 0, 1, 2, 3]
  private static let other: [UInt8] = [0x52, 0x54, 0, 9, 9, 9]
  private static let buffers: UInt64 = 0x20_0000

  private static let kinds: [VirtioFeatures] = [
    [.version1, .controlQueue, .controlReceive, .controlAddress, .linkStatus],
    [
      .version1, .packedRing, .eventIndex, .mergeableBuffers, .controlQueue, .controlReceive,
      .controlAddress, .linkStatus,
    ],
  ]

  private static func frame(to destination: [UInt8] = address, _ mark: UInt8) -> [UInt8] {
    destination + [UInt8](repeating: 0xAB, count: 6) + [8, 0]
      + [UInt8](repeating: mark, count: 46)
  }

  /// A card that has received, sent, and been told its filter; buffers are left.
  private struct Card {
    var driver: VirtioTestDriver
    let cable: TestCable
    var rings: [TestRing] = []
    var nextBuffer: UInt64 = 0

    init(_ features: VirtioFeatures) throws {
      let cable = TestCable()
      self.cable = cable
      driver = try VirtioTestDriver { .network(cable, address: address, context: $0) }
      driver.useMSIX()
      #expect(driver.negotiate(features))
      driver.setCommon(Offset.configurationVector, 2, 3)
      for (index, start) in [0x4_0000, 0x8_0000, 0xC_0000].enumerated() {
        let ring = try TestRing(
          driver.memory, size: 8, isPacked: features.contains(.packedRing), start: UInt64(start))
        driver.enable(index, ring, vector: UInt16(index))
        rings.append(ring)
      }
      driver.ready()
      // No frame but to the one address, and to another in the table.
      try command([0, 0, 0])
      try command([1, 0, 1, 0, 0, 0] + other + [0, 0, 0, 0])
      for mark in 0..<11 as Range<UInt8> {
        try send(mark)
        try offer()
        cable.put([frame(mark)])
        #expect(try takeFrame() == frame(mark))
      }
      for _ in 0..<3 { try offer() }
      _ = try cable.takeSent(11)
    }

    mutating func command(_ bytes: [UInt8]) throws {
      try driver.memory.write(bytes, at: GPA(0x3F_0000))
      try rings[2].offer([
        .init(address: 0x3F_0000, byteCount: UInt32(bytes.count)),
        .init(address: 0x3F_8000, byteCount: 1, isWritten: true),
      ])
      driver.notify(2)
      #expect(try rings[2].answers().map(\.byteCount) == [1])
      #expect(try driver.memory.load(at: GPA(0x3F_8000), as: UInt8.self) == 0)
    }

    mutating func send(_ mark: UInt8) throws {
      let bytes = [UInt8](repeating: 0, count: 12) + frame(mark)
      try driver.memory.write(bytes, at: GPA(0x30_0000))
      try rings[1].offer([.init(address: 0x30_0000, byteCount: UInt32(bytes.count))])
      driver.notify(1)
      var ring = rings[1]
      try waitUntil { try ring.answers().count == 1 }
      rings[1] = ring
    }

    /// Buffers are used in turn, as many as the ring has entries.
    mutating func offer() throws {
      try rings[0].offer([
        .init(address: buffers + UInt64(rings[0].next) << 12, byteCount: 512, isWritten: true)
      ])
      driver.notify(0)
    }

    mutating func takeFrame() throws -> [UInt8] {
      var (ring, answers) = (rings[0], [TestRing.Answer]())
      try waitUntil {
        answers += try ring.answers()
        return !answers.isEmpty
      }
      rings[0] = ring
      #expect(answers.map(\.byteCount) == [72])
      let place = buffers + UInt64(answers[0].identifier) << 12
      return try Array(driver.memory.read(at: GPA(place), byteCount: 72)[12...])
    }
  }

  @Test("a card goes on where it was: rings, filter, frames that came in between", arguments: kinds)
  func moves(features: VirtioFeatures) throws {
    var card = try Card(features)
    let old = card.driver
    try old.device.pause()
    card.cable.put([Self.frame(to: [0x52, 0, 0, 0, 0, 1], 1), Self.frame(to: Self.other, 2)])
    try waitUntil { card.cable.incomingCount == 0 }
    #expect(try card.rings[0].answers().isEmpty)
    let cable = card.cable
    let new = try VirtioTestDriver(insteadOf: old) {
      .network(cable, address: Self.address, context: $0)
    }
    try StateHarness.move(
      old.device, to: new.device, registers: VirtioTestDriver.registers
    ) { () throws in
      #expect(new.sink.messages.isEmpty)
      #expect(try card.rings[0].answers().isEmpty)
    }
    card.driver = new
    // The first one is not for the card: its filter is what it was.
    #expect(try card.takeFrame() == Self.frame(to: Self.other, 2))
    for mark in 20..<40 as Range<UInt8> {
      try card.send(mark)
      try card.offer()
      cable.put([Self.frame(mark)])
      #expect(try card.takeFrame() == Self.frame(mark))
    }
    #expect(try cable.takeSent(20).count == 20)
    try card.command([1, 1] + Self.other)
    #expect(new.status.rawValue == 0x0F)
  }

  @Test("a copy with another address: the driver goes on, and finds it when it starts anew")
  func anotherAddress() throws {
    var card = try Card(Self.kinds[0])
    let (old, cable) = (card.driver, card.cable)
    try old.device.pause()
    let bytes = try StateHarness.save(old.device)
    old.device.stop()
    let address: [UInt8] = [0x52, 0x54, 0, 0xAB, 0xCD, 0xEF]
    let new = try VirtioTestDriver(insteadOf: old) {
      .network(cable, address: address, context: $0)
    }
    try StateHarness.restore(bytes, into: new.device)
    try new.device.start()
    new.device.resume()
    card.driver = new
    cable.put([Self.frame(20)])
    #expect(try card.takeFrame() == Self.frame(20))
    #expect((0..<6).map { UInt8(new.read(4, $0, 1)) } == address)
  }

  @Test("frames and a link that goes wait for the end of a pause", arguments: kinds)
  func waits(features: VirtioFeatures) throws {
    var card = try Card(features)
    let device = card.driver.device
    let generation = card.driver.common(Offset.generation, 1)
    try device.pause()
    let bytes = try StateHarness.save(device)
    card.cable.put([Self.frame(7)])
    try waitUntil { card.cable.incomingCount == 0 }
    #expect(try StateHarness.save(device) == bytes && card.rings[0].answers().isEmpty)
    #expect(card.driver.common(Offset.generation, 1) == generation)
    device.resume()
    #expect(try card.takeFrame() == Self.frame(7))
    try device.pause()
    card.cable.setLink(false)
    try waitUntil { card.cable.isIdle }
    #expect(card.driver.common(Offset.generation, 1) == generation)
    device.resume()
    try waitUntil { card.driver.common(Offset.generation, 1) == generation + 1 }
    #expect(card.driver.sink.messages.last?.data == 3)
  }

  @Test("a far end without a link is announced after the restore")
  func otherLink() throws {
    let card = try Card(Self.kinds[0])
    try card.driver.device.pause()
    let bytes = try StateHarness.save(card.driver.device)
    let cable = TestCable()
    cable.setLink(false)
    let new = try VirtioTestDriver(insteadOf: card.driver) {
      .network(cable, address: Self.address, context: $0)
    }
    try StateHarness.restore(bytes, into: new.device)
    #expect(new.sink.messages.isEmpty)
    card.driver.device.stop()
    try new.device.start()
    new.device.resume()
    try waitUntil { new.sink.messages.contains { $0.data == 3 } }
    #expect(new.read(4, 6, 2) == 0)
  }

  @Test("damaged state is refused, or does no harm", arguments: kinds)
  func damage(features: VirtioFeatures) throws {
    var card = try Card(features)
    let memory = card.driver.memory
    try card.driver.device.pause()
    let bytes = try StateHarness.save(card.driver.device)
    let context = PCIContext(memory: memory, messages: RecordingSink())
    let cable = TestCable()
    let accepted = try StateHarness.damage(bytes) {
      VirtioPCIDevice.network(cable, address: Self.address, context: context)
    } drive: { device, generator in
      device.makeBusMaster()
      let net = try #require(device.transport.model as? VirtioNet)
      var (sender, receiver) = (
        VirtioNetSender(net, net.pairs[0]), VirtioNetReceiver(net, net.pairs[0])
      )
      try card.rings[0].offer([.init(address: Self.buffers, byteCount: 512, isWritten: true)])
      try card.rings[1].offer([.init(address: 0x30_0000, byteCount: 72)])
      try card.rings[2].offer([
        .init(address: 0x3F_0000, byteCount: 18),
        .init(address: 0x3F_8000, byteCount: 1, isWritten: true),
      ])
      device.driveVirtio(&generator) {
        while net.pairs[0].sending.nextIfWaiting() != nil { sender.serve() }
        while net.pairs[0].receiving.nextIfWaiting() != nil {}
        var frames = NetworkFrames(for: cable)
        frames.begin()
        // SAFETY: a byte is initialised and has no padding.
        unsafe frames.append(Self.frame(1).span.bytes)
        frames.finish()
        _ = receiver.deliver(&frames)
      }
    }
    #expect(accepted > 100, "too little of it is driven")
  }
}
