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

  private static let unit = GuestMemoryLayout.growthUnit
  private static let unitPageCount = unit / 4096
  private static let growthStart: UInt64 = 0x10_0000

  private static func size(_ units: UInt64) -> MemorySize {
    MemorySize(
      byteCount: 16 << 20 + units * unit, startByteCount: 16 << 20, growthByteCount: 4 * unit,
      growthStepByteCount: unit)
  }

  private static func growing(
    _ balloon: Balloon, _ growth: BareGrowth, _ clock: ManualClock
  ) -> DynamicMemory {
    let device = DynamicMemory(
      balloon, growth: growth, clock: { UInt64(bitPattern: clock.nanoseconds) })
    device.attach {}
    return device
  }

  /// A guest that is to have two units more, when it is asked to take them.
  private func growing(_ balloon: Balloon, _ growth: BareGrowth) throws -> VMBusBench {
    var bench = try VMBusBench(
      { Self.growing(balloon, growth, $0) }, growthByteCount: 4 * Self.unit)
    growth.memory.withLock { [memory = bench.memory] in $0 = memory }
    try bench.open()
    for message in [(1, [0x2_0000]), (3, [0x1F, 0, 0])] as [(UInt16, [UInt64])] {
      try send(&bench, message.0, message.1)
      _ = try bench.rings.receive()
    }
    balloon.setSize(Self.size(2))
    bench.clock.advance(by: 51 * Self.second)
    bench.host.turn()
    return bench
  }

  @Test("memory that a guest is asked to take is its own elsewhere; so is what it did not take")
  func growth() throws {
    let growth = BareGrowth()
    var bench = try growing(Balloon(), growth)
    let asked = Self.growthStart | (2 * Self.unitPageCount) << 40
    #expect(try received(&bench) == [10, asked])
    // The answer comes elsewhere, and what was to be had is known there.
    var balloon = Balloon()
    bench = try move(bench) { Self.growing(balloon, growth, $0) }
    #expect(balloon.activity.addedPageCount == 0)
    try send(&bench, 11, [Self.unitPageCount | 1 << 32])
    #expect(UInt64(balloon.activity.addedPageCount) == Self.unitPageCount)
    // The rest is asked for in 10 seconds, of which 4 have gone.
    bench.clock.advance(by: 4 * Self.second)
    balloon = Balloon()
    bench = try move(bench) { Self.growing(balloon, growth, $0) }
    #expect(UInt64(balloon.activity.addedPageCount) == Self.unitPageCount)
    bench.clock.advance(by: 5 * Self.second)
    bench.host.turn()
    #expect(try received(&bench) == nil)
    bench.clock.advance(by: Self.second)
    bench.host.turn()
    #expect(
      try received(&bench) == [
        10, Self.growthStart + Self.unitPageCount | Self.unitPageCount << 40,
      ])
    try send(&bench, 11, [Self.unitPageCount | 1 << 32])
    #expect(UInt64(balloon.activity.addedPageCount) == 2 * Self.unitPageCount)
    // Somebody who makes it smaller there finds what there is.
    balloon.setSize(Self.size(1))
    bench.host.turn()
    #expect(try received(&bench) == [6, Self.unitPageCount])
    #expect(bench.memory.addedByteCount == 2 * Self.unit)
  }

  @Test("pages that were never added are refused; so is memory that cannot grow")
  func growthElsewhere() throws {
    let growth = BareGrowth()
    let bench = try growing(Balloon(), growth)
    let bytes = try StateHarness.save(bench.host)
    // As many bytes, of a machine to which nothing was added.
    let other = BareGrowth()
    let empty = try VMBusBench(
      { Self.growing(Balloon(), other, $0) }, growthByteCount: 4 * Self.unit)
    other.memory.withLock { $0 = empty.memory }
    #expect(throws: StateError.self) { try StateHarness.restore(bytes, into: empty.host) }
    let fixed = try VMBusBench { Self.memory(Balloon(), $0) }
    #expect(throws: StateError.self) { try StateHarness.restore(bytes, into: fixed.host) }
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

  enum Device: CaseIterable {
    case heartbeat
    case balloon
    case growth
  }

  @Test("damaged state is refused, or does no harm", arguments: Device.allCases)
  func damage(device: Device) throws {
    let growth = BareGrowth()
    var bench: VMBusBench
    switch device {
    case .heartbeat:
      bench = try VMBusBench { _ in HeartbeatService() }
      try bench.open()
      try bench.agree()
    case .balloon:
      bench = try ballooned(Balloon(targetPageCount: 64))
      bench.clock.advance(by: 51 * Self.second)
      bench.host.turn()
      try send(&bench, 7, [1 << 33 | 1 << 32, 0x400 | 32 << 40])
    case .growth:
      bench = try growing(Balloon(), growth)
      try send(&bench, 11, [Self.unitPageCount | 1 << 32])
    }
    for message in pageList(7, relid: 1, [0x80, 0x81, 0x82]) { bench.post(message) }
    let bytes = try StateHarness.save(bench.host)
    let before = bench
    var clock: ManualClock?
    let accepted = try StateHarness.damage(bytes) { () throws -> VMBusHost in
      let new = try VMBusBench(insteadOf: before) { (clock) -> any VMBusDevice in
        switch device {
        case .heartbeat: HeartbeatService()
        case .balloon: Self.memory(Balloon(), clock)
        case .growth: Self.growing(Balloon(), growth, clock)
        }
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
