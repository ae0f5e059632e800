import DeviceKit
import GuestMemory
import TestSupport
import Testing

@testable import Devices

/// A card with two queue pairs whose driver knows of them, or of one: a ring for each queue,
/// vectors by the queue's number, and the two far ends.
struct MultiQueueCard {
  private typealias Offset = VirtioRegisters.Offset

  static let address: [UInt8] = [0x52, 0x54, 0, 1, 2, 3]
  static let features: VirtioFeatures = [
    .version1, .multiQueue, .controlQueue, .controlReceive, .mergeableBuffers, .linkStatus,
  ]
  /// Buffers to receive into, and of each queue what it sends and commands.
  private static let buffers: UInt64 = 0x20_0000
  private static let requests: UInt64 = 0x30_0000

  var driver: VirtioTestDriver
  /// Of each pair; the first one is the back-end.
  let cables: [TestCable]
  /// In the order of the queues.
  var rings: [TestRing] = []
  let control: Int

  static func makeCables() -> [TestCable] {
    let second = TestCable()
    return [TestCable(others: [second]), second]
  }

  init(_ features: VirtioFeatures = features) throws {
    let cables = Self.makeCables()
    self.cables = cables
    driver = try VirtioTestDriver { .network(cables[0], address: Self.address, context: $0) }
    driver.useMSIX()
    control = features.contains(.multiQueue) ? 4 : 2
    try begin(features)
  }

  /// Negotiates, lays the queues out and is ready.
  mutating func begin(_ features: VirtioFeatures) throws {
    #expect(driver.negotiate(features))
    driver.setCommon(Offset.configurationVector, 2, 5)
    rings = []
    for index in 0...(features.contains(.multiQueue) ? 4 : 2) {
      let ring = try TestRing(
        driver.memory, size: 8, isPacked: features.contains(.packedRing),
        start: 0x4_0000 * UInt64(index + 1))
      driver.enable(index, ring, vector: UInt16(index))
      rings.append(ring)
    }
    driver.ready()
  }

  static func frame(_ mark: UInt8) -> [UInt8] {
    address + [UInt8](repeating: 0xAB, count: 6) + [8, 0] + [UInt8](repeating: mark, count: 46)
  }

  /// Runs a command in a queue, which is the control queue.
  ///
  /// - Returns: its *ack*.
  mutating func command(_ bytes: [UInt8]) throws -> UInt8 {
    let place = Self.requests
    try driver.memory.write(bytes, at: GPA(place))
    try driver.memory.store(UInt8(0xEE), at: GPA(place + 0x8000))
    try rings[control].offer([
      .init(address: place, byteCount: UInt32(bytes.count)),
      .init(address: place + 0x8000, byteCount: 1, isWritten: true),
    ])
    driver.notify(control)
    // Done when the notification returns.
    #expect(try rings[control].answers().map(\.byteCount) == [1])
    return try driver.memory.load(at: GPA(place + 0x8000))
  }

  /// *VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET*.
  mutating func usePairs(_ count: UInt16) throws -> UInt8 {
    try command([4, 0, UInt8(truncatingIfNeeded: count), UInt8(count >> 8)])
  }

  /// Sends a frame by a pair, and waits until the card has taken it.
  mutating func send(_ mark: UInt8, by pair: Int) throws {
    let queue = 2 * pair + 1
    let place = Self.requests + 0x1_0000 * UInt64(queue)
    let bytes = [UInt8](repeating: 0, count: 12) + Self.frame(mark)
    try driver.memory.write(bytes, at: GPA(place))
    try rings[queue].offer([.init(address: place, byteCount: UInt32(bytes.count))])
    driver.notify(queue)
    _ = try takeAnswers(of: queue)
  }

  /// Gives a pair a buffer; its place goes by the descriptor.
  mutating func offer(to pair: Int) throws {
    let queue = 2 * pair
    try rings[queue].offer([
      .init(
        address: Self.buffers + 0x1_0000 * UInt64(queue) + UInt64(rings[queue].next) << 12,
        byteCount: 512, isWritten: true)
    ])
    driver.notify(queue)
  }

  /// The frame that comes by a pair.
  mutating func takeFrame(from pair: Int) throws -> [UInt8] {
    let answers = try takeAnswers(of: 2 * pair)
    #expect(answers.map(\.byteCount) == [72])
    let place =
      Self.buffers + 0x2_0000 * UInt64(pair) + UInt64(answers[0].identifier) << 12
    return try Array(driver.memory.read(at: GPA(place), byteCount: 72)[12...])
  }

  private mutating func takeAnswers(of queue: Int) throws -> [TestRing.Answer] {
    var (ring, answers) = (rings[queue], [TestRing.Answer]())
    try waitUntil {
      answers += try ring.answers()
      return !answers.isEmpty
    }
    rings[queue] = ring
    return answers
  }

  /// A frame that comes by a pair of no use is gone, whatever buffers there are.
  mutating func expectDropped(_ mark: UInt8, by pair: Int) throws {
    let cable = cables[pair]
    cable.put([Self.frame(mark)])
    try waitUntil { cable.isIdle }
    #expect(try rings[2 * pair].answers().isEmpty)
  }
}
