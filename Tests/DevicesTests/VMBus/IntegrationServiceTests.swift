import Bytes
import HostSystem
import Testing

@testable import Devices

/// Shutdown, heartbeat and time, against a guest that answers as Linux' hv_utils does.
@Suite("VMBus' integration services")
struct IntegrationServiceTests {
  private static let second: Int64 = 1_000_000_000

  @Test("the first message names versions")
  func negotiation() throws {
    var bench = try VMBusBench { _ in ShutdownService() }
    try bench.open()
    let request = try bench.agree()
    // A pipe's header: data, and the length without it.
    #expect(Array(request[..<8]) == [1, 0, 0, 0, 52, 0, 0, 0])
    // Frame 1.0, kind 0, service 1.0, 32 bytes, no status, a request of a transaction.
    #expect(
      Array(request[8..<28]) == [1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 3, 0, 0])
    #expect(
      Array(request[28..<60]) == [
        2, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 3, 0, 1, 0, 3, 0, 2,
        0,
      ])
  }

  @Test("an answer that picks nothing, or something else, ends it", arguments: 0..<4)
  func failedNegotiation(way: Int) throws {
    let service = HeartbeatService()
    var bench = try VMBusBench { _ in service }
    try bench.open()
    let request = try #require(try bench.rings.receive()).payload
    var reply = integrationAnswer(Array(request[..<integrationBodyStart]))
    reply += [1, 0, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0]
    switch way {
    case 0: reply[integrationBodyStart] = 0
    case 1: reply[integrationBodyStart + 8] = 9
    case 2: reply[integrationBodyStart + 12] = 9
    default: reply = Array(reply.prefix(40))
    }
    try bench.rings.send(reply)
    bench.host.turn()
    bench.clock.advance(by: 10 * Self.second)
    bench.host.turn()
    #expect(try bench.rings.receive() == nil)
  }

  @Test("a guest that is asked to shut down, and says that it will")
  func shutdown() throws {
    let service = ShutdownService()
    var bench = try VMBusBench { _ in service }
    #expect(!service.request())
    try bench.open()
    #expect(!service.request())
    try bench.agree()
    #expect(service.activity.isOpen)
    #expect(service.request())
    bench.host.turn()
    let request = try #require(try bench.rings.receive()).payload
    #expect(request.loadLE(at: 12, as: UInt16.self) == 3)
    // The versions that were agreed on: 3.0 and 3.2.
    #expect(Array(request[8..<12]) == [3, 0, 0, 0])
    #expect(Array(request[14..<18]) == [3, 0, 2, 0])
    #expect(request.loadLE(at: 18, as: UInt16.self) == 2060)
    // Planned, no force, no restart.
    #expect(request.loadLE(at: 28, as: UInt32.self) == 0x8000_0000)
    #expect(request.loadLE(at: 36, as: UInt32.self) == 0)
    #expect(request.count == (28 + 2060 + 7) / 8 * 8)
    try bench.rings.send(integrationAnswer(request))
    bench.host.turn()
    #expect(service.activity.lastStatus == 0)
    #expect(service.activity.requestCount == 1)
    // The driver goes: nobody hears it any more.
    bench.post(guestMessage(.close, 1))
    bench.host.turn()
    #expect(!service.request())
  }

  @Test("a heartbeat every two seconds; those that are not answered are counted")
  func heartbeat() throws {
    let service = HeartbeatService()
    var bench = try VMBusBench { _ in service }
    try bench.open()
    try bench.agree()
    for count in 1...3 as ClosedRange<UInt64> {
      var request = try #require(try bench.rings.receive()).payload
      #expect(request.loadLE(at: 12, as: UInt16.self) == 1)
      let number: UInt64 = request.loadLE(at: 28)
      request.storeLE(number + 1, at: 28)
      try bench.rings.send(integrationAnswer(request))
      let next = bench.host.turn()
      #expect(next == UInt64(bench.clock.nanoseconds) + 2_000_000_000)
      #expect(service.activity == .init(isOpen: true, answerCount: count))
      #expect(try bench.rings.receive() == nil)
      bench.clock.advance(by: 2 * Self.second)
      bench.host.turn()
    }
    for _ in 0..<4 {
      bench.clock.advance(by: 2 * Self.second)
      bench.host.turn()
    }
    #expect(service.activity.missedCount == 4)
    // An answer with another number is none.
    let request = try #require(try bench.rings.receive()).payload
    try bench.rings.send(integrationAnswer(request))
    bench.host.turn()
    #expect(service.activity.answerCount == 3)
  }

  @Test("the time: set once, told every five seconds")
  func time() throws {
    // 2026-01-02 03:04:05 UTC.
    let now: Int64 = 1_767_323_045_000_000_000
    let service = TimeService(nanosecondsSince1970: { now })
    var bench = try VMBusBench { _ in service }
    try bench.open()
    try bench.agree()
    for flag in [1, 2, 2] as [UInt8] {
      let request = try #require(try bench.rings.receive()).payload
      #expect(request.loadLE(at: 12, as: UInt16.self) == 4)
      #expect(request.loadLE(at: 18, as: UInt16.self) == 25)
      // Since 1601.
      #expect(request.loadLE(at: 28, as: UInt64.self) == 134_117_966_450_000_000)
      #expect(request[52] == flag)
      try bench.rings.send(integrationAnswer(request))
      bench.clock.advance(by: 5 * Self.second)
      bench.host.turn()
    }
    #expect(service.answerCount == 3)
  }

  @Test("answers that are none change nothing")
  func noAnswers() throws {
    let service = ShutdownService()
    var bench = try VMBusBench { _ in service }
    try bench.open()
    let request = try #require(try bench.rings.receive()).payload
    for bytes in [[], [1], Array(request[..<27]), request] as [[UInt8]] {
      try bench.rings.send(bytes)
    }
    bench.host.turn()
    #expect(!service.activity.isOpen)
    #expect(bench.port.takeMessages() == [])
  }
}
