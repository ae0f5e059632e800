import Bytes
import DeviceKit
import GuestMemory
import HostSystem
import TestSupport
import Testing
import ZeroTracker

@testable import Devices

/// The rings of a channel, against a driver that lays them out by itself.
@Suite("VMBus' rings")
struct VMBusRingTests {
  /// Sends every packet back, and keeps it.
  private final class Echo: VMBusDevice {
    let offer = VMBusOffer(
      interface: VMBusGUID("525074dc-8985-46e2-8057-a307dc18a502"),
      instance: VMBusGUID("1eccfd72-4b41-45ef-b73a-4a6e44c12924"), isPipe: false)
    let packets = Guarded<[VMBusPacket]>([])

    func opened(_ link: VMBusLink) {}
    func closed() {}
    func transferState(_ transfer: inout StateTransfer, now: UInt64) throws(StateError) {}

    func receive(_ packet: VMBusPacket, _ link: VMBusLink) {
      packets.withLock { $0.append(packet) }
      link.send(packet.payload, transaction: packet.transaction)
    }

    func advance(_ link: VMBusLink, now: UInt64) -> UInt64? { nil }
  }

  @Test("packets of all lengths, again and again around the rings")
  func around() throws {
    let echo = Echo()
    var bench = try VMBusBench { _ in echo }
    #expect(try bench.open() == 0)
    var generator = SeededGenerator(seed: 0x5EED_0002)
    for number in 0..<400 as Range<UInt64> {
      let count = Int.random(in: 0...4000, using: &generator)
      let payload = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
      try bench.rings.send(payload, transaction: number)
      bench.host.turn()
      let answer = try #require(try bench.rings.receive())
      #expect(answer.kind == 6)
      #expect(answer.transaction == number)
      #expect(Array(answer.payload.prefix(count)) == payload)
      #expect(answer.payload.count == (count + 7) / 8 * 8)
      #expect(try bench.rings.receive() == nil)
      // Both ends of the guest's ring meet.
      #expect(try bench.rings.field(0, 0) == bench.rings.field(0, 4))
      // An empty ring got something: an event for each.
      #expect(bench.port.takeEvents() == [1])
    }
  }

  @Test("an event only for a ring that was empty, and not while the guest has it masked")
  func events() throws {
    let echo = Echo()
    var bench = try VMBusBench { _ in echo }
    try bench.open()
    for _ in 0..<3 { try bench.rings.send([1, 2, 3]) }
    bench.host.turn()
    #expect(bench.port.takeEvents() == [1])
    while try bench.rings.receive() != nil {}
    try bench.rings.setField(1, 8, 1)
    try bench.rings.send([4])
    bench.host.turn()
    #expect(bench.port.takeEvents() == [])
    #expect(try bench.rings.receive()?.payload.first == 4)
  }

  @Test("a packet that wants a completion gets one, with its number")
  func completions() throws {
    let echo = Echo()
    var bench = try VMBusBench { _ in echo }
    try bench.open()
    try bench.rings.send([5], transaction: 0x1234_5678_9ABC, flags: 1)
    bench.host.turn()
    let completion = try #require(try bench.rings.receive())
    #expect(completion.kind == 11)
    #expect(completion.transaction == 0x1234_5678_9ABC)
    #expect(completion.payload == [])
  }

  @Test("a full ring takes nothing, and loses nothing that it has")
  func full() throws {
    let echo = Echo()
    var bench = try VMBusBench { _ in echo }
    try bench.open()
    for number in 0..<6 as Range<UInt64> {
      try bench.rings.send([UInt8](repeating: 9, count: 3000), transaction: number)
      bench.host.turn()
    }
    var numbers: [UInt64] = []
    while let packet = try bench.rings.receive() { numbers.append(packet.transaction) }
    #expect(numbers == [0, 1, 2, 3])
    #expect(echo.packets.withLock(\.count) == 6)
  }

  @Test("a guest that waits for room is told of it")
  func room() throws {
    let echo = Echo()
    var bench = try VMBusBench { _ in echo }
    try bench.open()
    for _ in 0..<3 { try bench.rings.send([UInt8](repeating: 9, count: 3400)) }
    // It wants 4000 bytes, and 2016 are free.
    try bench.rings.setField(0, 12, 4000)
    try bench.rings.setField(1, 8, 1)
    bench.host.turn()
    #expect(bench.port.takeEvents() == [1])
  }

  @Test(
    "rings that make no sense: the channel is taken back, and the machine goes on",
    arguments: [
      "write index outside", "write index odd", "no packet", "header too short",
      "header longer than packet", "packet longer than ring", "packet too large",
      "read index outside", "read index odd",
    ])
  func hostile(what: String) throws {
    let echo = Echo()
    var bench = try VMBusBench { _ in echo }
    try bench.open()
    func header(_ headerWords: UInt16, _ words: UInt16) -> [UInt8] {
      (6 as UInt16).littleEndianBytes + headerWords.littleEndianBytes + words.littleEndianBytes
        + [UInt8](repeating: 0, count: 26)
    }
    switch what {
    case "write index outside": try bench.rings.setField(0, 0, 12288)
    case "write index odd": try bench.rings.setField(0, 0, 4)
    case "no packet": try bench.rings.setField(0, 0, 16)
    case "header too short": try bench.rings.write(header(1, 3))
    case "header longer than packet": try bench.rings.write(header(4, 3))
    case "packet longer than ring": try bench.rings.write(header(2, 4))
    case "packet too large": try bench.rings.write(header(2, 0xFFFF))
    case "read index outside":
      try bench.rings.setField(1, 4, .max)
      try bench.rings.send([1])
    default:
      try bench.rings.setField(1, 4, 12)
      try bench.rings.send([1])
    }
    bench.host.turn()
    let messages = bench.port.takeMessages()
    #expect(messages.map(\.bytes) == [guestMessage(.rescind, 1)])
    bench.host.turn()
    #expect(bench.host.openChannelCount == 0)
    // A guest that begins anew has it again.
    #expect(try bench.open() == 0)
    try bench.rings.send([8])
    bench.host.turn()
    #expect(try bench.rings.receive()?.payload.first == 8)
  }

  @Test("pages that are no RAM, and numbers of pages that are no addresses")
  func noMemory() throws {
    for page in [0x10_0000, 1 << 51, .max] as [UInt64] {
      for index in GuestRings.pages.indices {
        let echo = Echo()
        var bench = try VMBusBench { _ in echo }
        bench.post(contact(0x4_0000))
        bench.post(guestMessage(.requestOffers))
        try bench.rings.clear()
        var pages = GuestRings.pages
        pages[index] = page
        for message in pageList(5, relid: 1, pages) { bench.post(message) }
        bench.post(
          guestMessage(.open, 1, 99, 5, 0, 4) + [UInt8](repeating: 0, count: 120))
        for _ in 0..<4 {
          try bench.rings.send([UInt8](repeating: 1, count: 3900))
          bench.host.turn()
          _ = try bench.rings.receive()
        }
        bench.host.turn()
        #expect(bench.host.openChannelCount == 0, "page \(page) as the \(index)th")
      }
    }
  }

  @Test("what the host writes counts as written")
  func marks() throws {
    let echo = Echo()
    var bench = try VMBusBench { _ in echo }
    try bench.open()
    try bench.rings.send([1])
    bench.host.turn()
    let zeroed = bench.memory.tracker.zeroedRanges(replyPage: nil, limit: .max)
    for page in [GuestRings.pages[0], GuestRings.pages[4], GuestRings.pages[5]] {
      #expect(!zeroed.contains { $0.pageNumbers.contains(page) })
    }
  }

  @Test("a guest that posts and takes nothing is told to wait")
  func fullQueue() throws {
    let echo = Echo()
    let bench = try VMBusBench { _ in echo }
    _ = bench.host.post(contact(0x4_0000), type: 1, connection: 1)
    var results: [VMBusPost] = []
    for _ in 0..<100 {
      results.append(bench.host.post(guestMessage(.requestOffers), type: 1, connection: 1))
    }
    #expect(results.first == .taken)
    #expect(results.last == .isFull)
    #expect(bench.port.waitingMessageCount <= 80)
    #expect(bench.host.post(contact(0x4_0000), type: 1, connection: 2) == .noConnection)
  }
}
