import Bytes
import DeviceKit
import GuestMemory
import HostSystem
import TestSupport
import Testing
import ZeroTracker

@testable import Devices

/// VMBus in a machine that goes on elsewhere: the guest notices nothing but the time.
@Suite("VMBus, saved and restored")
struct VMBusStateTests {
  private static let second: Int64 = 1_000_000_000

  /// Another bus with what this one saves, over the same memory.
  private func move(
    _ bench: VMBusBench, to device: (ManualClock) -> any VMBusDevice
  ) throws -> VMBusBench {
    try bench.host.pause()
    let bytes = try StateHarness.save(bench.host)
    let new = try VMBusBench(insteadOf: bench, device)
    try StateHarness.restore(bytes, into: new.host)
    try new.host.pause()
    #expect(try StateHarness.save(new.host) == bytes)
    new.host.resume()
    return new
  }

  @Test("while it is paused nothing is served; then what has come is")
  func pause() throws {
    let service = HeartbeatService()
    var bench = try VMBusBench { _ in service }
    try bench.open()
    try bench.agree()
    var request = try #require(try bench.rings.receive()).payload
    request.storeLE(request.loadLE(at: 28, as: UInt64.self) + 1, at: 28)
    try bench.host.pause()
    try bench.rings.send(integrationAnswer(request))
    bench.host.turn()
    #expect(service.activity.answerCount == 0)
    bench.host.resume()
    bench.host.turn()
    #expect(service.activity.answerCount == 1)
  }

  @Test("a heartbeat that is on its way is answered elsewhere, and the next comes when it is due")
  func heartbeat() throws {
    var bench = try VMBusBench { _ in HeartbeatService() }
    try bench.open()
    try bench.agree()
    var request = try #require(try bench.rings.receive()).payload
    bench.clock.advance(by: Self.second / 2)
    let service = HeartbeatService()
    bench = try move(bench) { _ in service }
    #expect(service.activity == .init(isOpen: true))
    let number: UInt64 = request.loadLE(at: 28)
    request.storeLE(number + 1, at: 28)
    try bench.rings.send(integrationAnswer(request))
    #expect(bench.host.turn() == UInt64(bench.clock.nanoseconds) + 1_500_000_000)
    #expect(service.activity == .init(isOpen: true, answerCount: 1))
    #expect(try bench.rings.receive() == nil)
    bench.clock.advance(by: 3 * Self.second / 2)
    bench.host.turn()
    let next = try #require(try bench.rings.receive()).payload
    #expect(next.loadLE(at: 28, as: UInt64.self) == number + 2)
    // In the versions that were agreed on before.
    #expect(Array(next[8..<12]) == Array(request[8..<12]))
  }

  @Test("the guest's clock is set when it goes on")
  func time() throws {
    var bench = try VMBusBench { _ in TimeService(nanosecondsSince1970: { 1 << 60 }) }
    try bench.open()
    try bench.agree()
    /// The next message's flags, and its time in units of 100 ns since 1970.
    func told() throws -> (flags: UInt8, time: UInt64)? {
      guard let message = try bench.rings.receive()?.payload else { return nil }
      return (message[28 + 24], message.loadLE(at: 28, as: UInt64.self) - 116_444_736_000_000_000)
    }
    #expect(try told()?.flags == 1)
    bench.clock.advance(by: 5 * Self.second)
    bench.host.turn()
    #expect(try told()?.flags == 2)
    bench = try move(bench) { _ in TimeService(nanosecondsSince1970: { 1 << 61 }) }
    bench.host.turn()
    let set = try #require(try told())
    #expect(set.flags == 1 && set.time == (1 << 61) / 100)
    bench.clock.advance(by: 5 * Self.second)
    bench.host.turn()
    #expect(try told()?.flags == 2)
  }

  @Test("a request to shut down that was not sent yet is sent elsewhere")
  func shutdown() throws {
    let old = ShutdownService()
    var bench = try VMBusBench { _ in old }
    try bench.open()
    try bench.agree()
    #expect(old.request())
    let service = ShutdownService()
    bench = try move(bench) { _ in service }
    bench.host.turn()
    let request = try #require(try bench.rings.receive()).payload
    #expect(request.loadLE(at: 12, as: UInt16.self) == 3)
    try bench.rings.send(integrationAnswer(request))
    bench.host.turn()
    #expect(service.activity == .init(isOpen: true, requestCount: 1, lastStatus: 0))
  }

  @Test("a channel that was opened, and not served yet, begins elsewhere")
  func opening() throws {
    var bench = try VMBusBench { _ in HeartbeatService() }
    bench.post(contact(0x5_0003), connection: 4)
    bench.post(guestMessage(.requestOffers))
    try bench.rings.clear()
    let messages = pageList(0xE1E10, relid: 1, GuestRings.pages)
    // With the list told in part.
    bench.post(messages[0])
    bench = try move(bench) { _ in HeartbeatService() }
    let open =
      guestMessage(.open, 1, 99, 0xE1E10, 1, UInt32(GuestRings.secondStart))
      + [UInt8](repeating: 0, count: 120)
    #expect(bench.post(open).last?.word(at: 16) == 0)
    bench = try move(bench) { _ in HeartbeatService() }
    bench.host.turn()
    let request = try #require(try bench.rings.receive()).payload
    #expect(request.loadLE(at: 12, as: UInt16.self) == 0, "it negotiates")
    // What the guest said before is known: its list is torn down, and the channel with it.
    #expect(bench.post(guestMessage(.gpadlTeardown, 1, 0xE1E10)).last?.kind == .gpadlTornDown)
    #expect(bench.host.openChannelCount == 0)
  }

  /// A balloon of a guest that has said what it can.
  private func ballooned(_ balloon: Balloon) throws -> VMBusBench {
    var bench = try VMBusBench { clock in Self.memory(balloon, clock) }
    try bench.open()
    for message in [(1, [0x2_0000]), (3, [1, 0, 0])] as [(UInt16, [UInt64])] {
      try send(&bench, message.0, message.1)
      _ = try bench.rings.receive()
    }
    return bench
  }

  private static func memory(_ balloon: Balloon, _ clock: ManualClock) -> DynamicMemory {
    let device = DynamicMemory(balloon, clock: { UInt64(bitPattern: clock.nanoseconds) })
    device.attach {}
    return device
  }

  private func send(_ bench: inout VMBusBench, _ kind: UInt16, _ words: [UInt64]) throws {
    var bytes = kind.littleEndianBytes + UInt16(8 + 8 * words.count).littleEndianBytes
    bytes += (77 as UInt32).littleEndianBytes + words.littleEndianBytes
    try bench.rings.send(bytes)
    bench.host.turn()
  }

  /// The host's next message: its kind and its first word.
  private func received(_ bench: inout VMBusBench) throws -> [UInt64]? {
    guard let payload = try bench.rings.receive()?.payload else { return nil }
    return [UInt64(payload.loadLE(at: 0, as: UInt16.self)), payload.loadLE(at: 8)]
  }

  @Test("a balloon that is being filled is filled elsewhere, and emptied")
  func balloon() throws {
    let old = Balloon(targetPageCount: 64)
    var bench = try ballooned(old)
    // Of the 50 seconds in which nothing is asked, 20 are left.
    bench.clock.advance(by: 30 * Self.second)
    var balloon = Balloon()
    bench = try move(bench) { Self.memory(balloon, $0) }
    #expect(balloon.activity.targetPageCount == 64 && balloon.activity.hasDriver)
    bench.clock.advance(by: 19 * Self.second)
    bench.host.turn()
    #expect(try received(&bench) == nil)
    bench.clock.advance(by: Self.second)
    bench.host.turn()
    #expect(try received(&bench) == [6, 64])
    try send(&bench, 7, [1 << 33 | 1 << 32, 0x400 | 32 << 40])
    balloon = Balloon()
    bench = try move(bench) { Self.memory(balloon, $0) }
    #expect(balloon.activity.actualPageCount == 32)
    #expect(balloon.activity.givenBackByteCount == 32 * 4096)
    try send(&bench, 7, [1 << 33, 0x420 | 32 << 40])
    #expect(balloon.activity.actualPageCount == 64)
    #expect(try received(&bench) == nil, "it has what it wants")
    balloon.targetPageCount = 16
    bench.host.turn()
    let message = try #require(try bench.rings.receive()).payload
    #expect(message.loadLE(at: 0, as: UInt16.self) == 8)
    #expect(message.loadLE(at: 16, as: UInt64.self) == 0x410 | 48 << 40, "the highest pages")
    // The answer comes elsewhere; and one that never came would be waited for as long as before.
    bench.clock.advance(by: 59 * Self.second)
    balloon = Balloon()
    bench = try move(bench) { Self.memory(balloon, $0) }
    balloon.targetPageCount = 0
    bench.host.turn()
    #expect(try received(&bench) == nil)
    bench.clock.advance(by: 2 * Self.second)
    bench.host.turn()
    bench.clock.advance(by: 10 * Self.second)
    bench.host.turn()
    #expect(try received(&bench)?.first == 8)
    #expect(balloon.activity.actualPageCount == 0)
  }

  @Test("memory that can grow is not saved")
  func growth() throws {
    let bench = try VMBusBench(
      { clock in
        DynamicMemory(
          Balloon(), growth: Growth(leftByteCount: 128 << 20),
          clock: { UInt64(bitPattern: clock.nanoseconds) })
      }, growthByteCount: 128 << 20)
    #expect(throws: StateError.unsupported("memory that can grow (max=)")) {
      try StateHarness.save(bench.host)
    }
    let fixed = try VMBusBench { clock in
      DynamicMemory(
        Balloon(), growth: Growth(leftByteCount: 0),
        clock: { UInt64(bitPattern: clock.nanoseconds) })
    }
    #expect(try !StateHarness.save(fixed.host).isEmpty)
  }

  private final class Growth: GuestMemoryGrowth {
    let stepByteCount: UInt64 = 128 << 20
    let leftByteCount: UInt64

    init(leftByteCount: UInt64) {
      self.leftByteCount = leftByteCount
    }

    func grow(by byteCount: UInt64) -> Range<UInt64>? { nil }
  }

  @Test("a bus with an open channel goes with its machine, and so does the guest's memory")
  func isFreed() throws {
    weak var host: VMBusHost?
    weak var memory: GuestMemory?
    do {
      var bench = try VMBusBench { _ in HeartbeatService() }
      try bench.open()
      (host, memory) = (bench.host, bench.memory)
      #expect(host?.openChannelCount == 1)
    }
    #expect(host == nil && memory == nil)
  }

  @Test("a count of openings that would run over is refused")
  func countOfOpenings() throws {
    let memory = try GuestMemory(layout: GuestMemoryLayout(ramByteCount: 16 << 20))
    let channel = VMBusChannel(relid: 1, memory: memory, port: RecordingPort())
    var transfer = StateTransfer(restoring: [UInt8](repeating: 0xFF, count: 8) + [0])
    #expect(throws: StateError.self) {
      try channel.transfer(&transfer, isOpen: false, vpCount: 1)
    }
  }

  @Test("damaged state is refused, or does no harm", arguments: [false, true])
  func damage(isMemory: Bool) throws {
    var bench: VMBusBench
    if isMemory {
      bench = try ballooned(Balloon(targetPageCount: 64))
      bench.clock.advance(by: 51 * Self.second)
      bench.host.turn()
      try send(&bench, 7, [1 << 33 | 1 << 32, 0x400 | 32 << 40])
    } else {
      bench = try VMBusBench { _ in HeartbeatService() }
      try bench.open()
      try bench.agree()
    }
    for message in pageList(7, relid: 1, [0x80, 0x81, 0x82]) { bench.post(message) }
    let bytes = try StateHarness.save(bench.host)
    let before = bench
    var clock: ManualClock?
    let accepted = try StateHarness.damage(bytes) { () throws -> VMBusHost in
      let new = try VMBusBench(insteadOf: before) { (clock) -> any VMBusDevice in
        if isMemory { Self.memory(Balloon(), clock) } else { HeartbeatService() }
      }
      clock = new.clock
      return new.host
    } drive: { host, generator in
      for _ in 0..<20 {
        let words = (0..<6).map { _ in
          UInt32(truncatingIfNeeded: generator.nextOfAnyMagnitude())
        }
        let kind = UInt32.random(in: 1...24, using: &generator)
        let message = (kind.littleEndianBytes + [0, 0, 0, 0]) + words.flatMap(\.littleEndianBytes)
        _ = host.post(message, type: 1, connection: 1)
        clock?.advance(by: 7 * Self.second)
        host.turn()
      }
    }
    #expect(accepted > 100, "too little of it is driven")
  }
}
