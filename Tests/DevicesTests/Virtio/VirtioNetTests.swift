import Bytes
import DeviceKit
import GuestMemory
import TestSupport
import Testing
import ZeroTracker

@testable import Devices

/// The network card (virtio 1.2 §5.1), with a cable whose far end is the test.
struct VirtioNetTests {
  private typealias Offset = VirtioRegisters.Offset

  private static let address: [UInt8] = [0x52, 0x54, 0, 1, 2, 3]
  private static let other: [UInt8] = [0x52, 0x54, 0, 9, 9, 9]
  private static let broadcast = [UInt8](repeating: 0xFF, count: 6)
  private static let group: [UInt8] = [0x01, 0, 0x5E, 0, 0, 1]
  /// Where buffers are, 0x1_0000 apart.
  private static let buffers: UInt64 = 0x20_0000

  /// A card with its three queues, ready, and its cable.
  private struct Card {
    let driver: VirtioTestDriver
    let cable: TestCable
    var receive: TestRing
    var send: TestRing
    var control: TestRing

    init(
      _ features: VirtioFeatures, cable: TestCable = TestCable(), usesMSIX: Bool = false
    ) throws {
      self.cable = cable
      driver = try VirtioTestDriver { .network(cable, address: address, context: $0) }
      if usesMSIX { driver.useMSIX() }
      #expect(driver.negotiate(features))
      if usesMSIX { driver.setCommon(Offset.configurationVector, 2, 3) }
      let isPacked = features.contains(.packedRing)
      receive = try TestRing(driver.memory, size: 16, isPacked: isPacked, start: 0x4_0000)
      send = try TestRing(driver.memory, size: 16, isPacked: isPacked, start: 0x8_0000)
      control = try TestRing(driver.memory, size: 8, isPacked: isPacked, start: 0xC_0000)
      for (index, ring) in [receive, send, control].enumerated() {
        driver.enable(index, ring, vector: usesMSIX ? UInt16(index) : .max)
      }
      driver.ready()
    }

    /// Gives the card a buffer to receive into.
    mutating func offer(_ number: UInt64, byteCount: UInt32) throws {
      try receive.offer(
        [.init(address: buffers + number << 16, byteCount: byteCount, isWritten: true)])
    }

    func bytes(_ number: UInt64, _ byteCount: Int) throws -> [UInt8] {
      try driver.memory.read(at: GPA(buffers + number << 16), byteCount: byteCount)
    }

    /// Runs a command.
    ///
    /// - Returns: its *ack*.
    mutating func command(_ bytes: [UInt8]) throws -> UInt8 {
      try driver.memory.write(bytes, at: GPA(0x3F_0000))
      try driver.memory.store(UInt8(0xEE), at: GPA(0x3F_8000))
      try control.offer([
        .init(address: 0x3F_0000, byteCount: UInt32(bytes.count)),
        .init(address: 0x3F_8000, byteCount: 1, isWritten: true),
      ])
      driver.notify(VirtioNet.Queue.control)
      // Done when the notification returns.
      #expect(try control.answers().map(\.byteCount) == [1])
      return try driver.memory.load(at: GPA(0x3F_8000))
    }
  }

  private static func frame(to destination: [UInt8] = address, _ byteCount: Int = 60) -> [UInt8] {
    destination + [UInt8](repeating: 0xAB, count: 8)
      + (0..<(byteCount - 14)).map { UInt8(truncatingIfNeeded: $0) }
  }

  private static let kinds: [VirtioFeatures] = [
    [.version1], [.version1, .eventIndex, .mergeableBuffers],
    [.version1, .packedRing, .eventIndex, .mergeableBuffers],
  ]

  @Test func whatItSaysOfItself() throws {
    let cable = TestCable()
    let driver = try VirtioTestDriver {
      .network(cable, address: Self.address, context: $0)
    }
    #expect(driver.configuration(0, 4) == 0x1041_1AF4)
    #expect(driver.configuration(8, 4) == 0x0200_0001)
    #expect(driver.common(Offset.queueCount, 2) == 3)
    #expect((0..<6).map { UInt8(driver.read(4, $0, 1)) } == Self.address)
    #expect(driver.read(4, 6, 2) == 1, "the link")
    #expect(driver.read(4, 8, 2) == 1, "queue pairs")
    #expect(driver.read(4, 10, 2) == 1500, "the MTU")
    let plain: VirtioFeatures = [
      .macAddress, .mergeableBuffers, .linkStatus, .controlQueue, .controlReceive,
      .controlReceiveMore, .controlAddress,
    ]
    #expect(driver.offered == plain.union([.mtu]).union(.ofTransport))
    let whole = VirtioFeatures.ofNetwork(
      TestCable(headerByteCount: 12, mtu: nil, offloads: [.checksum, .tcp4, .tcp6, .ecn]))
    #expect(
      whole
        == plain.union([
          .checksum, .guestChecksum, .controlGuestOffloads, .hostTCP4, .hostTCP6, .hostECN,
          .guestTCP4, .guestTCP6, .guestECN,
        ]))
  }

  // MARK: Sending

  @Test(arguments: kinds)
  func framesAreSent(features: VirtioFeatures) throws {
    var card = try Card(features)
    var expected: [[UInt8]] = []
    for number in 0..<40 {
      let frame = Self.frame(60 + number * 30)
      try card.driver.memory.write([UInt8](repeating: 0, count: 12) + frame, at: GPA(0x20_0000))
      // Header and frame apart, then together, then cut anywhere.
      let split = [12, 12 + frame.count, 5][number % 3]
      try card.send.offer([
        .init(address: 0x20_0000, byteCount: UInt32(split)),
        .init(
          address: 0x20_0000 + UInt64(split), byteCount: UInt32(12 + frame.count - split)),
      ])
      expected.append(frame)
      card.driver.notify(VirtioNet.Queue.send)
      try waitUntil { card.cable.sent.count == expected.count }
      #expect(try card.send.answers().map(\.byteCount) == [0])
    }
    #expect(card.cable.sent == expected)
  }

  /// Many frames are one call of the far end.
  @Test func framesAreSentTogether() throws {
    let driver = try VirtioTestDriver(starts: false) { context in
      .network(TestCable(), address: Self.address, context: context)
    }
    let net = try #require(driver.device.transport.model as? VirtioNet)
    let cable = try #require(net.backend as? TestCable)
    #expect(driver.negotiate([.version1]))
    var ring = try TestRing(driver.memory, size: 64, isPacked: false)
    driver.enable(1, ring)
    driver.ready()
    try driver.memory.write([UInt8](repeating: 0, count: 12) + Self.frame(), at: GPA(0x20_0000))
    for _ in 0..<64 { try ring.offer([.init(address: 0x20_0000, byteCount: 72)]) }
    var sender = VirtioNetSender(net, net.pairs[0])
    sender.serve()
    #expect(cable.sent.count == 64)
    #expect(cable.sendCallCount == 1)
    #expect(try ring.answers().count == 64)
  }

  /// What is no frame is answered, and goes nowhere.
  @Test func oddFramesAreNotSent() throws {
    var card = try Card([.version1])
    try card.driver.memory.write(
      [UInt8](repeating: 0, count: 12) + Self.frame(), at: GPA(0x20_0000))
    for byteCount in [1, 11, 12, 25, 12 + 1515, 0x1_0000] as [UInt32] {
      try card.send.offer([.init(address: 0x20_0000, byteCount: byteCount)])
    }
    // For writing only.
    try card.send.offer([.init(address: 0x20_0000, byteCount: 100, isWritten: true)])
    try card.send.offer([.init(address: 0x20_0000, byteCount: 12 + 60)])
    card.driver.notify(VirtioNet.Queue.send)
    try waitUntil { !card.cable.sent.isEmpty }
    #expect(card.cable.sent == [Self.frame()])
    #expect(try card.send.answers().count == 8)
    #expect(!card.driver.status.contains(.needsReset))
  }

  // MARK: Receiving

  @Test(arguments: kinds)
  func framesAreReceived(features: VirtioFeatures) throws {
    var card = try Card(features)
    for number in 0..<40 {
      let frame = Self.frame(60 + number * 30)
      try card.offer(0, byteCount: 2048)
      card.driver.notify(VirtioNet.Queue.receive)
      card.cable.put([frame])
      var answers: [TestRing.Answer] = []
      try waitUntil {
        answers += try card.receive.answers()
        return !answers.isEmpty
      }
      #expect(answers.map(\.byteCount) == [UInt32(12 + frame.count)])
      let header: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]
      #expect(try card.bytes(0, 12 + frame.count) == header + frame)
    }
  }

  /// A frame in several buffers: all are shown at once, the first says how many.
  @Test(arguments: [false, true])
  func framesInSeveralBuffers(isPacked: Bool) throws {
    var features: VirtioFeatures = [.version1, .mergeableBuffers, .eventIndex]
    if isPacked { features.insert(.packedRing) }
    var card = try Card(features)
    let frame = Self.frame(1000)
    // Too little, so that nothing is shown.
    for number in 0..<3 as Range<UInt64> { try card.offer(number, byteCount: 300) }
    card.driver.notify(VirtioNet.Queue.receive)
    card.cable.put([frame])
    // It waits for the fourth, and nobody for it: the three are the ring's again.
    try waitUntil { try card.receive.isArmed(at: 3) }
    #expect(card.driver.device.transport.link.queues[0].isLive)
    #expect(try card.receive.answers() == [])
    try card.offer(3, byteCount: 300)
    card.driver.notify(VirtioNet.Queue.receive)
    var answers: [TestRing.Answer] = []
    try waitUntil {
      answers += try card.receive.answers()
      return !answers.isEmpty
    }
    #expect(answers.map(\.byteCount) == [300, 300, 300, 112])
    var bytes: [UInt8] = []
    for (number, count) in [300, 300, 300, 112].enumerated() {
      bytes += try card.bytes(UInt64(number), count)
    }
    #expect(bytes == [UInt8](repeating: 0, count: 10) + [4, 0] + frame)
  }

  /// Without merging, a frame that does not fit its buffer is dropped, and the buffer stays.
  @Test func aFrameThatDoesNotFitIsDropped() throws {
    var card = try Card([.version1])
    try card.offer(0, byteCount: 100)
    card.driver.notify(VirtioNet.Queue.receive)
    card.cable.put([Self.frame(1000), Self.frame(60)])
    var answers: [TestRing.Answer] = []
    try waitUntil {
      answers += try card.receive.answers()
      return !answers.isEmpty
    }
    #expect(answers.map(\.byteCount) == [72])
    #expect(try Array(card.bytes(0, 72)[12...]) == Self.frame(60))
  }

  /// Frames wait for buffers, in their order, and nothing is lost.
  @Test(arguments: kinds)
  func framesWaitForBuffers(features: VirtioFeatures) throws {
    var card = try Card(features)
    let frames = (0..<30).map { Self.frame(60 + $0) }
    card.cable.put(frames)
    try waitUntil { card.cable.incomingCount == 0 }
    var received: [[UInt8]] = []
    while received.count < frames.count {
      for number in 0..<4 as Range<UInt64> { try card.offer(number, byteCount: 2048) }
      card.driver.notify(VirtioNet.Queue.receive)
      let count = min(4, frames.count - received.count)
      var answers: [TestRing.Answer] = []
      try waitUntil {
        answers += try card.receive.answers()
        return answers.count == count
      }
      for (number, answer) in answers.enumerated() {
        received.append(Array(try card.bytes(UInt64(number), Int(answer.byteCount))[12...]))
      }
    }
    #expect(received == frames)
  }

  /// New buffers are of interest only while a frame waits for one.
  @Test(arguments: [false, true])
  func buffersNeedNoNotification(isPacked: Bool) throws {
    var card = try Card(isPacked ? [.version1, .packedRing] : [.version1])
    try card.offer(0, byteCount: 2048)
    try card.offer(1, byteCount: 2048)
    card.driver.notify(VirtioNet.Queue.receive)
    card.cable.put([Self.frame()])
    try waitUntil { try !card.receive.answers().isEmpty }
    #expect(try !card.receive.mustNotify(eventIndex: false))
    card.cable.put([Self.frame(), Self.frame()])
    try waitUntil { try card.receive.mustNotify(eventIndex: false) }
    try card.offer(0, byteCount: 2048)
    card.driver.notify(VirtioNet.Queue.receive)
    var count = 0
    try waitUntil {
      count += try card.receive.answers().count
      return count == 2
    }
  }

  /// With no driver frames are dropped; those that wait for buffers are when it resets.
  @Test func framesWithoutADriver() throws {
    let card = try Card([.version1])
    card.cable.put([Self.frame()])
    try waitUntil { card.cable.incomingCount == 0 }
    card.driver.status = []
    try waitUntil { card.cable.isIdle }
    card.cable.put([Self.frame(61)])
    try waitUntil { card.cable.isIdle }
    #expect(card.driver.negotiate([.version1]))
    var ring = try TestRing(card.driver.memory, size: 16, isPacked: false, start: 0x4_0000)
    card.driver.enable(0, ring)
    card.driver.ready()
    try ring.offer([.init(address: Self.buffers, byteCount: 2048, isWritten: true)])
    card.driver.notify(VirtioNet.Queue.receive)
    card.cable.put([Self.frame(62)])
    try waitUntil { try !ring.answers().isEmpty }
    #expect(try Array(card.bytes(0, 74)[12...]) == Self.frame(62))
  }

  @Test func aBufferWithoutRoomForTheHeaderIsAFault() throws {
    var card = try Card([.version1, .mergeableBuffers])
    try card.offer(0, byteCount: 11)
    card.driver.notify(VirtioNet.Queue.receive)
    card.cable.put([Self.frame()])
    try waitUntil { card.driver.status.contains(.needsReset) }
  }

  /// Interrupts are left out as the driver asks: none until the eighth frame.
  @Test(arguments: [false, true])
  func interruptsAreLeftOut(isPacked: Bool) throws {
    var features: VirtioFeatures = [.version1, .eventIndex]
    if isPacked { features.insert(.packedRing) }
    var card = try Card(features, usesMSIX: true)
    try card.receive.askForInterrupt(after: 7)
    for number in 0..<8 as Range<UInt64> { try card.offer(number, byteCount: 2048) }
    card.driver.notify(VirtioNet.Queue.receive)
    var answers: [TestRing.Answer] = []
    for count in 1...7 {
      card.cable.put([Self.frame()])
      try waitUntil {
        answers += try card.receive.answers()
        return answers.count == count
      }
    }
    #expect(card.driver.sink.messages.isEmpty)
    card.cable.put([Self.frame()])
    try waitUntil { !card.driver.sink.messages.isEmpty }
    #expect(card.driver.sink.messages.map(\.data) == [0])
  }

  @Test func theLinkIsAnnounced() throws {
    let card = try Card([.version1, .linkStatus], usesMSIX: true)
    let generation = card.driver.common(Offset.generation, 1)
    card.cable.setLink(false)
    try waitUntil { card.driver.sink.messages.map(\.data) == [3] }
    #expect(card.driver.read(4, 6, 2) == 0)
    #expect(card.driver.common(Offset.generation, 1) != generation)
    card.cable.setLink(true)
    try waitUntil { card.driver.sink.messages.count == 2 }
    #expect(card.driver.read(4, 6, 2) == 1)
  }

  // MARK: Offloads

  @Test func headersOfTheFarEndArePassedOn() throws {
    var card = try Card(
      [.version1, .mergeableBuffers, .checksum, .guestChecksum, .hostTCP4, .guestTCP4],
      cable: TestCable(
        headerByteCount: 12, maximumFrameByteCount: 65_550, offloads: [.checksum, .tcp4]))
    try waitUntil { card.cable.toldOffloads == [.checksum, .tcp4] }
    let header: [UInt8] = [1, 1, 54, 0, 0xB4, 5, 34, 0, 16, 0]
    try card.driver.memory.write(header + [9, 9] + Self.frame(3000), at: GPA(0x20_0000))
    try card.send.offer([.init(address: 0x20_0000, byteCount: 3012)])
    card.driver.notify(VirtioNet.Queue.send)
    try waitUntil { !card.cable.sent.isEmpty }
    #expect(card.cable.sent == [header + [0, 0] + Self.frame(3000)])

    for number in 0..<2 as Range<UInt64> { try card.offer(number, byteCount: 2048) }
    card.driver.notify(VirtioNet.Queue.receive)
    // One that needs what the driver does not take, and one that it takes.
    let wrong: [UInt8] = [1, 4, 54, 0, 0xB4, 5, 34, 0, 16, 0, 0, 0]
    card.cable.put([wrong + Self.frame(3000), header + [7, 7] + Self.frame(3000)])
    var answers: [TestRing.Answer] = []
    try waitUntil {
      answers += try card.receive.answers()
      return answers.count == 2
    }
    #expect(try card.bytes(0, 12) == header + [2, 0])
    #expect(answers.map(\.byteCount) == [2048, 964])

    // Later the driver wants less, and at the reset nothing.
    #expect(try card.command([5, 0] + UInt64(2).littleEndianBytes) == 1, "without the feature")
    card.driver.status = []
    try waitUntil { card.cable.toldOffloads == [] }
  }

  @Test func offloadsThatChange() throws {
    var card = try Card(
      [.version1, .guestChecksum, .guestTCP4, .controlGuestOffloads, .controlQueue],
      cable: TestCable(headerByteCount: 12, offloads: [.checksum, .tcp4]))
    try waitUntil { card.cable.toldOffloads == [.checksum, .tcp4] }
    #expect(try card.command([5, 0] + UInt64(2).littleEndianBytes) == 0)
    try waitUntil { card.cable.toldOffloads == [.checksum] }
    #expect(try card.command([5, 0] + UInt64(1 << 8).littleEndianBytes) == 1, "not negotiated")
    #expect(try card.command([5, 0, 0, 0]) == 1, "not whole")
  }

  // MARK: Control

  /// Everything arrives until the driver says otherwise; then what it said.
  @Test func theDriverChoosesWhatItReceives() throws {
    var card = try Card([.version1, .controlQueue, .controlReceive, .controlReceiveMore])
    /// Which of the four arrives.
    func arriving() throws -> [Bool] {
      var seen: [Bool] = []
      for destination in [Self.address, Self.other, Self.group, Self.broadcast] {
        seen.append(try arrives(destination, &card))
      }
      return seen
    }
    #expect(try arrives(Self.other, &card), "promiscuous at first")
    #expect(try card.command([0, 0, 0]) == 0)
    #expect(try arriving() == [true, false, false, true])
    #expect(try card.command([0, 1, 1]) == 0)
    #expect(try arriving() == [true, false, true, true], "all groups")
    #expect(try card.command([0, 3, 1]) == 0)
    #expect(try arriving() == [true, false, false, true], "no groups")
    #expect(try card.command([0, 3, 0]) == 0)
    #expect(try card.command([0, 1, 0]) == 0)
    #expect(try card.command([0, 2, 1]) == 0)
    #expect(try arriving() == [true, true, false, true], "all of one card")
    #expect(try card.command([0, 2, 0]) == 0)
    let one = UInt32(1).littleEndianBytes
    #expect(try card.command([1, 0] + one + Self.other + one + Self.group) == 0)
    #expect(try arriving() == [true, true, true, true], "a table")
    let none = UInt32(0).littleEndianBytes
    #expect(try card.command([1, 0] + none + none) == 0)
    #expect(try arriving() == [true, false, false, true])
    let many = UInt32(65).littleEndianBytes + (0..<65).flatMap { _ in Self.group }
    #expect(try card.command([1, 0] + none + many) == 0)
    #expect(try arriving() == [true, false, true, true], "more than the table holds")
  }

  /// Whether a frame arrives, seen by one behind it that always does.
  private func arrives(_ destination: [UInt8], _ card: inout Card) throws -> Bool {
    try card.offer(0, byteCount: 2048)
    try card.offer(1, byteCount: 2048)
    card.driver.notify(VirtioNet.Queue.receive)
    card.cable.put([Self.frame(to: destination, 61), Self.frame(62)])
    var answers: [TestRing.Answer] = []
    try waitUntil {
      answers += try card.receive.answers()
      return answers.last?.byteCount == 12 + 62
    }
    let isThere = answers.count == 2
    guard !isThere else { return true }
    // The buffer that is left over.
    card.cable.put([Self.frame(63)])
    try waitUntil { try !card.receive.answers().isEmpty }
    return false
  }

  @Test func commandsThatCannotBe() throws {
    var card = try Card(
      [.version1, .controlQueue, .controlReceive, .controlReceiveMore, .controlAddress])
    for bytes: [UInt8] in [
      [0], [0, 0], [0, 6, 1], [1, 0], [1, 0, 1, 0, 0, 0, 1, 2, 3, 4, 5],
      [1, 0, 0xFF, 0xFF, 0xFF, 0xFF],
      [1, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F], [1, 1, 1, 2, 3, 4, 5], [1, 2, 0], [2, 0, 0, 0],
      [4, 0, 1, 0], [9, 9, 9], [UInt8](repeating: 0, count: 5000),
    ] {
      #expect(try card.command(bytes) == 1, "\(bytes.prefix(8))")
    }
    #expect(try card.command([1, 1] + Self.other) == 0)
    #expect(!card.driver.status.contains(.needsReset))
    // No room for the answer.
    try card.control.offer([.init(address: 0x3F_0000, byteCount: 3)])
    card.driver.notify(VirtioNet.Queue.control)
    #expect(card.driver.status.contains(.needsReset))
  }

  @Test func commandsOfFeaturesThatWereNotTaken() throws {
    var card = try Card([.version1, .controlQueue])
    #expect(try card.command([0, 0, 0]) == 1)
    #expect(try card.command([0, 2, 1]) == 1)
    #expect(try card.command([1, 1] + Self.other) == 1)
    #expect(try arrives(Self.other, &card), "still everything")
  }

  // MARK: Memory

  /// Pages that frames are written to are reported no more.
  @Test func whatIsReceivedIsMarked() throws {
    var card = try Card([.version1])
    let pages = PageRange(start: GPA(0x30_0000).page, pageCount: 2)
    #expect(card.driver.memory.tracker.snapshot().counts(in: pages).touched == 0)
    try card.receive.offer([.init(address: 0x30_0F80, byteCount: 2048, isWritten: true)])
    card.driver.notify(VirtioNet.Queue.receive)
    card.cable.put([Self.frame(1000)])
    try waitUntil { try !card.receive.answers().isEmpty }
    #expect(card.driver.memory.tracker.snapshot().counts(in: pages).touched == 2)
  }

  /// A machine that is reset makes a new card at the same cable.
  @Test func theCableOutlivesTheCard() throws {
    let cable = TestCable()
    for _ in 0..<2 {
      var card = try Card([.version1], cable: cable)
      try card.offer(0, byteCount: 2048)
      card.driver.notify(VirtioNet.Queue.receive)
      cable.put([Self.frame()])
      try waitUntil { try !card.receive.answers().isEmpty }
      card.driver.device.stop()
    }
  }
}
