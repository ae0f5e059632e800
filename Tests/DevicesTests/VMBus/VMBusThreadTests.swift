import Bytes
import DeviceKit
import GuestMemory
import HostSystem
import TestSupport
import Testing
import ZeroTracker

@testable import Devices

/// The bus with its thread, while vCPUs' threads post messages, signal events and close channels.
@Suite("VMBus' thread", .serialized, .timeLimit(.minutes(5)))
struct VMBusThreadTests {
  /// Sends every packet back.
  private final class Echo: VMBusDevice {
    let offer = VMBusOffer(
      interface: VMBusGUID("525074dc-8985-46e2-8057-a307dc18a502"),
      instance: VMBusGUID("1eccfd72-4b41-45ef-b73a-4a6e44c12924"), isPipe: false)

    func opened(_ link: VMBusLink) {}
    func closed() {}
    func transferState(_ transfer: inout StateTransfer, now: UInt64) throws(StateError) {}

    func receive(_ packet: VMBusPacket, _ link: VMBusLink) {
      link.send(packet.payload, transaction: packet.transaction)
    }

    func advance(_ link: VMBusLink, now: UInt64) -> UInt64? { nil }
  }

  private func open(_ host: VMBusHost, _ rings: GuestRings, _ port: RecordingPort) throws {
    try rings.clear()
    for message in [contact(0x5_0003), guestMessage(.requestOffers)]
      + pageList(5, relid: 1, GuestRings.pages)
      + [guestMessage(.open, 1, 99, 5, 0, 4) + [UInt8](repeating: 0, count: 120)]
    {
      #expect(host.post(message, type: 1, connection: 4) == .taken)
    }
    #expect(port.takeMessages().last?.word(at: 16) == 0)
  }

  @Test("packets come back; after a closing nothing is written any more")
  func closing() throws {
    let memory = try GuestMemory(layout: GuestMemoryLayout(ramByteCount: 16 << 20))
    let port = RecordingPort()
    let host = try VMBusHost(
      [Echo()], vpCount: 1, memory: memory, port: port, clock: HostClock.monotonicNanoseconds,
      onThreadStart: {})
    try host.start()
    defer { host.stop() }
    for round in 0..<100 as Range<UInt64> {
      var rings = GuestRings(memory)
      try open(host, rings, port)
      for number in 0..<4 as Range<UInt64> {
        try rings.send([UInt8](repeating: 7, count: 100), transaction: round * 4 + number)
        #expect(host.signal(connection: 17))
      }
      if round % 2 == 0 {
        for number in 0..<4 as Range<UInt64> {
          var packet: (kind: UInt16, transaction: UInt64, payload: [UInt8])?
          try waitUntil {
            packet = try rings.receive()
            return packet != nil
          }
          #expect(packet?.transaction == round * 4 + number)
        }
      }
      #expect(host.post(guestMessage(.close, 1), type: 1, connection: 1) == .taken)
      // The pages are the guest's again.
      try rings.clear()
      for page in GuestRings.pages {
        let bytes = try memory.read(at: GPA(page << 12), byteCount: 4096)
        #expect(bytes.allSatisfy { $0 == 0 }, "page \(page) of round \(round)")
      }
    }
    #expect(!host.signal(connection: 16))
    #expect(!host.signal(connection: 18))
  }

  @Test("it ends while a guest goes on")
  func ending() throws {
    for _ in 0..<20 {
      let memory = try GuestMemory(layout: GuestMemoryLayout(ramByteCount: 16 << 20))
      let port = RecordingPort()
      let host = try VMBusHost(
        [Echo(), HeartbeatService()], vpCount: 1, memory: memory, port: port,
        clock: HostClock.monotonicNanoseconds, onThreadStart: {})
      try host.start()
      var rings = GuestRings(memory)
      try open(host, rings, port)
      try rings.send([1, 2, 3])
      _ = host.signal(connection: 17)
      host.stop()
      host.stop()
      #expect(host.post(guestMessage(.close, 1), type: 1, connection: 1) == .taken)
    }
  }
}
