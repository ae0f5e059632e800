import Bytes
import TestSupport
import Testing

@testable import Devices

/// The control channel: messages in, messages out, against the layouts that Linux has.
@Suite("VMBus' control channel")
struct VMBusConnectionTests {
  private static let offer = VMBusOffer(
    interface: VMBusGUID("525074dc-8985-46e2-8057-a307dc18a502"),
    instance: VMBusGUID("1eccfd72-4b41-45ef-b73a-4a6e44c12924"), isPipe: false)
  private static let pages = GuestRings.pages

  private func connection(_ version: UInt32? = 0x4_0000) -> VMBusConnection {
    var connection = VMBusConnection(offers: [Self.offer, Self.offer], vpCount: 2)
    guard let version else { return connection }
    _ = connection.receive(contact(version))
    _ = connection.receive(guestMessage(.requestOffers))
    return connection
  }

  private func openMessage(
    _ relid: UInt32 = 1, _ handle: UInt32 = 5, vp: UInt32 = 1, offset: UInt32 = 4
  ) -> [UInt8] {
    guestMessage(.open, relid, 99, handle, vp, offset) + [UInt8](repeating: 0, count: 120)
  }

  private func withPages(_ version: UInt32 = 0x4_0000) -> VMBusConnection {
    var connection = connection(version)
    for message in pageList(5, relid: 1, Self.pages) { _ = connection.receive(message) }
    return connection
  }

  @Test(
    "versions: what is spoken is agreed to, what is not makes guests step down",
    arguments: [
      (0x2_0004, 2, false), (0x3_0000, 2, false), (0x4_0000, 0x1234_5000, true),
      (0x4_0001, 0, true), (0x5_0000, 2, true), (0x5_0003, 2, true), (0x5_0003, 3, false),
      (0x5_0003, 0x102, false), (0x5_0004, 2, false), (0x6_0000, 2, false), (0, 2, false),
    ] as [(UInt32, UInt32, Bool)])
  func versions(version: UInt32, place: UInt32, isSupported: Bool) {
    var connection = connection(nil)
    let reaction = connection.receive(contact(version, vp: 1, place: place))
    #expect(reaction.changes == [.reset])
    #expect(
      reaction.messages.map(\.bytes) == [
        [15, 0, 0, 0, 0, 0, 0, 0, isSupported ? 1 : 0, 0, 0, 0, 1, 0, 0, 0]
      ])
    #expect(connection.messageVP == 1)
    // Without a version nothing else is answered.
    let offers = connection.receive(guestMessage(.requestOffers))
    #expect(offers.messages.count == (isSupported ? 3 : 0))
  }

  @Test("a contact for a processor that there is not is not heard")
  func unknownProcessor() {
    var connection = connection(nil)
    #expect(connection.receive(contact(0x4_0000, vp: 2)) == VMBusConnection.Reaction())
  }

  @Test("an offer: 196 bytes")
  func offers() throws {
    var connection = connection(nil)
    _ = connection.receive(contact(0x4_0000))
    let messages = connection.receive(guestMessage(.requestOffers)).messages
    #expect(messages.map(\.kind) == [.offer, .offer, .allOffers])
    let bytes = messages[1].bytes
    #expect(bytes.count == 196)
    let interface: [UInt8] = [
      0xDC, 0x74, 0x50, 0x52, 0x85, 0x89, 0xE2, 0x46, 0x80, 0x57, 0xA3, 0x07, 0xDC, 0x18, 0xA5,
      0x02,
    ]
    #expect(Array(bytes[8..<24]) == interface)
    // The number, no monitor, an interrupt of its own, the connection of its events.
    #expect(Array(bytes[184...]) == [2, 0, 0, 0, 0, 0, 1, 0, 18, 0, 0, 0])
    // A second time there is nothing new.
    #expect(connection.receive(guestMessage(.requestOffers)).messages.map(\.kind) == [.allOffers])
  }

  @Test("a list of pages is answered when it is whole", arguments: [8, 26, 27, 54, 55, 300])
  func lists(count: Int) {
    var connection = connection()
    let pages = (0..<UInt64(count)).map { 0x100 + 3 * $0 }
    let messages = pageList(7, relid: 2, pages)
    #expect(messages.allSatisfy { $0.count <= VMBusMessage.maximumByteCount })
    for message in messages.dropLast() {
      #expect(connection.receive(message) == VMBusConnection.Reaction())
    }
    #expect(
      connection.receive(messages[messages.count - 1]).messages.map(\.bytes) == [
        guestMessage(.gpadlCreated, 2, 7, 0)
      ])
    let answer = connection.receive(openMessage(2, 7, offset: 4))
    #expect(answer.messages.map(\.bytes) == [guestMessage(.openResult, 2, 99, 0)])
    guard case .opened(1, let rings, 1) = answer.changes.first else {
      Issue.record("\(answer.changes)")
      return
    }
    #expect(rings.fromGuest + rings.toGuest == pages)
    #expect(rings.fromGuest.count == 4)
  }

  @Test("lists that are none")
  func badLists() {
    let good = pageList(7, relid: 1, Self.pages)[0]
    var bad: [[UInt8]] = []
    for (offset, value) in [
      (8, 3), (12, 0), (16, 0), (16, 7), (18, 0), (18, 2), (20, 1), (24, 1), (24, 0x80),
    ] {
      var message = good
      message[offset] = UInt8(value)
      bad.append(message)
    }
    for message in bad {
      var connection = connection()
      let answers = connection.receive(message).messages
      #expect(answers.map(\.kind) == [.gpadlCreated])
      #expect(answers.first?.word(at: 16) != 0, "\(message.prefix(28))")
    }
    // The same handle twice.
    var connection = withPages()
    let answer = connection.receive(pageList(5, relid: 1, Self.pages)[0]).messages.first
    #expect(answer?.word(at: 16) != 0)
  }

  @Test("lists and their pages are bounded")
  func manyLists() {
    var connection = connection()
    var count = 0
    for handle in 1...200 as ClosedRange<UInt32> {
      let answers = connection.receive(pageList(handle, relid: 1, [1])[0]).messages
      if answers.first?.word(at: 16) == 0 { count += 1 }
    }
    #expect(count == 64)
    // Those that are never whole count as well.
    connection = self.connection()
    for handle in 1...64 as ClosedRange<UInt32> {
      let header = pageList(handle, relid: 1, (0..<100).map { UInt64($0) })[0]
      #expect(connection.receive(header).messages.isEmpty)
    }
    #expect(connection.receive(pageList(65, relid: 1, [1])[0]).messages.first?.word(at: 16) != 0)
  }

  @Test("what cannot be opened")
  func badOpenings() {
    for message in [
      openMessage(0), openMessage(3), openMessage(2), openMessage(1, 6), openMessage(vp: 2),
      openMessage(offset: 0), openMessage(offset: 1), openMessage(offset: 7),
      openMessage(offset: 8), openMessage(offset: .max),
    ] {
      var connection = withPages()
      let reaction = connection.receive(message)
      #expect(reaction.changes.isEmpty)
      #expect(reaction.messages.map(\.kind) == [.openResult])
      #expect(reaction.messages.first?.word(at: 16) != 0)
    }
    // Twice.
    var connection = withPages()
    #expect(connection.receive(openMessage()).messages.first?.word(at: 16) == 0)
    #expect(connection.receive(openMessage()).messages.first?.word(at: 16) != 0)
  }

  @Test("closed, and its pages are the guest's again")
  func closing() {
    var connection = withPages()
    _ = connection.receive(openMessage())
    #expect(
      connection.receive(guestMessage(.close, 1))
        == VMBusConnection.Reaction(changes: [.closed(channel: 0)]))
    #expect(connection.receive(guestMessage(.close, 1)) == VMBusConnection.Reaction())
    #expect(
      connection.receive(guestMessage(.gpadlTeardown, 1, 5)).messages.map(\.bytes) == [
        guestMessage(.gpadlTornDown, 5)
      ])
    #expect(connection.receive(openMessage()).messages.first?.word(at: 16) != 0)
  }

  @Test("a guest that takes its pages away closes the channel by that")
  func teardownWhileOpen() {
    var connection = withPages()
    _ = connection.receive(openMessage())
    let reaction = connection.receive(guestMessage(.gpadlTeardown, 1, 5))
    #expect(reaction.changes == [.closed(channel: 0)])
    #expect(reaction.messages.map(\.kind) == [.gpadlTornDown])
  }

  @Test("another contact, or an unload, is a reset", arguments: [false, true])
  func reset(isUnload: Bool) {
    var connection = withPages()
    _ = connection.receive(openMessage())
    let reaction = connection.receive(isUnload ? guestMessage(.unload) : contact(0x4_0000))
    #expect(reaction.changes == [.closed(channel: 0), .reset])
    #expect(reaction.messages.map(\.kind) == [isUnload ? .unloadResponse : .versionResponse])
    if isUnload {
      #expect(connection.receive(guestMessage(.requestOffers)).messages.isEmpty)
      _ = connection.receive(contact(0x4_0000))
    }
    // Channels are offered anew, and lists are gone.
    #expect(connection.receive(guestMessage(.requestOffers)).messages.count == 3)
    #expect(connection.receive(openMessage()).messages.first?.word(at: 16) != 0)
  }

  @Test("a channel moves to another processor; from 5.3 on that is answered")
  func moving() {
    for (version, isMoved, isAnswered) in [
      (0x4_0000, false, false), (0x4_0001, true, false), (0x5_0002, true, false),
      (0x5_0003, true, true),
    ] as [(UInt32, Bool, Bool)] {
      var connection = withPages(version)
      _ = connection.receive(openMessage())
      let reaction = connection.receive(guestMessage(.modify, 1, 0))
      #expect(reaction.changes == (isMoved ? [.moved(channel: 0, vp: 0)] : []))
      #expect(
        reaction.messages.map(\.bytes)
          == (isAnswered ? [guestMessage(.modifyResponse, 1, 0)] : []))
      let bad = connection.receive(guestMessage(.modify, 1, 2))
      #expect(bad.changes.isEmpty)
      #expect(bad.messages.allSatisfy { $0.word(at: 12) != 0 })
    }
  }

  @Test("a channel that is taken back is offered again when the guest has let go of it")
  func rescinding() {
    var connection = withPages()
    _ = connection.receive(openMessage())
    let reaction = connection.rescind(channel: 0)
    #expect(reaction.changes == [.closed(channel: 0)])
    #expect(reaction.messages.map(\.bytes) == [guestMessage(.rescind, 1)])
    #expect(connection.rescind(channel: 0) == VMBusConnection.Reaction())
    #expect(connection.receive(openMessage()).messages.first?.word(at: 16) != 0)
    #expect(connection.receive(guestMessage(.requestOffers)).messages.count == 1)
    _ = connection.receive(guestMessage(.relidReleased, 1))
    #expect(connection.receive(guestMessage(.requestOffers)).messages.count == 2)
  }

  @Test("any bytes: no answer is longer than a slot, and nothing is kept without a bound")
  func anyBytes() {
    var generator = SeededGenerator(seed: 0x5EED_0001)
    for _ in 0..<200 {
      var connection = connection(Bool.random(using: &generator) ? 0x5_0003 : nil)
      for _ in 0..<100 {
        let count = Int.random(in: 0...260, using: &generator)
        var bytes = (0..<count).map { _ in UInt8.random(in: 0...3, using: &generator) }
        if bytes.count >= 4, Bool.random(using: &generator) {
          bytes.replaceSubrange(
            0..<4, with: [UInt8.random(in: 0...26, using: &generator), 0, 0, 0])
        }
        let reaction = connection.receive(bytes)
        #expect(reaction.messages.count <= 3)
        #expect(reaction.messages.allSatisfy { $0.bytes.count <= 240 })
      }
    }
  }
}
