import Bytes
import DeviceKit
import GuestMemory
import HostSystem
import Testing
import ZeroTracker

@testable import Devices

/// What the guest would have got: messages and events.
final class RecordingPort: VMBusPort {
  private let state = Guarded<(messages: [VMBusMessage], events: [UInt32])>(([], []))

  /// The messages so far, which are taken.
  func takeMessages() -> [VMBusMessage] {
    state.withLock { state in
      defer { state.messages = [] }
      return state.messages
    }
  }

  /// The events so far, which are taken.
  func takeEvents() -> [UInt32] {
    state.withLock { state in
      defer { state.events = [] }
      return state.events
    }
  }

  var waitingMessageCount: Int { state.withLock { $0.messages.count } }

  func send(_ message: [UInt8], to vp: UInt32) {
    guard let message = VMBusMessage(message) else { return }
    state.withLock { $0.messages.append(message) }
  }

  func retryMessages() {}

  func dropMessages() {
    state.withLock { $0.messages = [] }
  }

  func transferState(_ transfer: inout StateTransfer) throws(StateError) {}

  func setEvent(_ flag: UInt32, of vp: UInt32) {
    state.withLock { $0.events.append(flag) }
  }
}

/// A message of a guest's: 32-bit words behind its header.
func guestMessage(_ kind: VMBusMessage.Kind, _ words: UInt32...) -> [UInt8] {
  kind.rawValue.littleEndianBytes + [0, 0, 0, 0] + words.flatMap(\.littleEndianBytes)
}

/// A contact, of 40 bytes.
func contact(_ version: UInt32, vp: UInt32 = 0, place: UInt32 = 2) -> [UInt8] {
  guestMessage(.initiateContact, version, vp, place, 0, 0, 0, 0, 0)
}

/// A list of pages in one header and as many bodies as it takes.
func pageList(_ handle: UInt32, relid: UInt32, _ pages: [UInt64]) -> [[UInt8]] {
  let byteCount = UInt32(8 + 8 * pages.count)
  var header = guestMessage(
    .gpadlHeader, relid, handle, byteCount | 1 << 16, UInt32(pages.count) * 4096, 0)
  header += Array(pages.prefix(26)).littleEndianBytes
  var messages = [header]
  var rest = pages.dropFirst(26)
  var number: UInt32 = 1
  while !rest.isEmpty {
    messages.append(
      guestMessage(.gpadlBody, number, handle) + Array(rest.prefix(28)).littleEndianBytes)
    rest = rest.dropFirst(28)
    number += 1
  }
  return messages
}

/// The guest's end of a channel's rings, as a driver writes and reads them.
struct GuestRings {
  /// GPNs, in an order of their own.
  static let pages: [UInt64] = [0x40, 0x45, 0x41, 0x47, 0x50, 0x46, 0x52, 0x51]
  static let secondStart = 4

  let memory: GuestMemory
  private var readIndex = 0
  private var writeIndex = 0

  private static let byteCount = 3 * 4096

  init(_ memory: GuestMemory) {
    self.memory = memory
  }

  /// As a driver clears them before it opens the channel.
  func clear() throws {
    for page in Self.pages { try memory.fill(at: GPA(page << 12), byteCount: 4096, with: 0) }
  }

  /// Of the guest's own ring (0) or the host's (1).
  func field(_ ring: Int, _ offset: UInt64) throws -> UInt32 {
    try memory.load(at: GPA(Self.pages[ring * 4] << 12 + offset))
  }

  func setField(_ ring: Int, _ offset: UInt64, _ value: UInt32) throws {
    try memory.store(value, at: GPA(Self.pages[ring * 4] << 12 + offset))
  }

  private static func address(_ ring: Int, _ index: Int) -> GPA {
    let index = index % byteCount
    return GPA(pages[ring * 4 + 1 + index / 4096] << 12 + UInt64(index % 4096))
  }

  /// Puts bytes where the next packet would be, and moves the index.
  mutating func write(_ bytes: [UInt8]) throws {
    for (offset, byte) in bytes.enumerated() {
      try memory.store(byte, at: Self.address(0, writeIndex + offset))
    }
    writeIndex = (writeIndex + bytes.count) % Self.byteCount
    try setField(0, 0, UInt32(writeIndex))
  }

  /// Sends a packet in band.
  mutating func send(_ payload: [UInt8], transaction: UInt64 = 7, flags: UInt16 = 0) throws {
    let byteCount = (16 + payload.count + 7) / 8 * 8
    var bytes = (6 as UInt16).littleEndianBytes + (2 as UInt16).littleEndianBytes
    bytes += UInt16(byteCount / 8).littleEndianBytes + flags.littleEndianBytes
    bytes += transaction.littleEndianBytes + payload
    bytes += [UInt8](repeating: 0, count: byteCount - bytes.count)
    bytes += (UInt64(writeIndex) << 32).littleEndianBytes
    try write(bytes)
  }

  /// The next packet: kind, transaction, payload with its padding; nil if there is none.
  mutating func receive() throws -> (kind: UInt16, transaction: UInt64, payload: [UInt8])? {
    guard Int(try field(1, 0)) != readIndex else { return nil }
    func bytes(_ offset: Int, _ count: Int) throws -> [UInt8] {
      try (0..<count).map { try memory.load(at: Self.address(1, readIndex + offset + $0)) }
    }
    let header = try bytes(0, 16)
    let byteCount = 8 * Int(header.loadLE(at: 4, as: UInt16.self))
    let payload = try bytes(16, byteCount - 16)
    readIndex = (readIndex + byteCount + 8) % Self.byteCount
    try setField(1, 4, UInt32(readIndex))
    return (header.loadLE(at: 0), header.loadLE(at: 8), payload)
  }
}

/// A bus with one device, and its guest.
struct VMBusBench {
  let memory: GuestMemory
  let port = RecordingPort()
  let clock: ManualClock
  let host: VMBusHost
  var rings: GuestRings

  init(
    _ device: (ManualClock) -> any VMBusDevice, ramByteCount: UInt64 = 16 << 20,
    growthByteCount: UInt64 = 0
  ) throws {
    memory = try GuestMemory(
      layout: GuestMemoryLayout(ramByteCount: ramByteCount, growthByteCount: growthByteCount),
      granularity: TrackingGranularity(byteCount: 4096))
    let clock = ManualClock(1 << 40)
    self.clock = clock
    host = try VMBusHost(
      [device(clock)], vpCount: 2, memory: memory, port: port,
      clock: { UInt64(bitPattern: clock.nanoseconds) }, onThreadStart: {})
    rings = GuestRings(memory)
  }

  /// A bus that is as new, at another time, over the memory and with the guest of another one.
  init(insteadOf other: VMBusBench, _ device: (ManualClock) -> any VMBusDevice) throws {
    memory = other.memory
    let clock = ManualClock(1 << 42)
    self.clock = clock
    host = try VMBusHost(
      [device(clock)], vpCount: 2, memory: memory, port: port,
      clock: { UInt64(bitPattern: clock.nanoseconds) }, onThreadStart: {})
    rings = other.rings
  }

  @discardableResult
  func post(_ message: [UInt8], connection: UInt32 = 1) -> [VMBusMessage] {
    _ = host.post(message, type: 1, connection: connection)
    return port.takeMessages()
  }

  /// Contact, offers, a list of pages, and the channel open.
  ///
  /// - Returns: the status of the opening.
  @discardableResult
  mutating func open() throws -> UInt32? {
    post(contact(0x4_0000))
    post(guestMessage(.requestOffers))
    rings = GuestRings(memory)
    try rings.clear()
    for message in pageList(0xE1E10, relid: 1, GuestRings.pages) { post(message) }
    let answer = post(
      guestMessage(.open, 1, 99, 0xE1E10, 1, UInt32(GuestRings.secondStart))
        + [UInt8](repeating: 0, count: 120))
    host.turn()
    return answer.last?.word(at: 16)
  }
}

/// Where the body of an integration service's message begins.
let integrationBodyStart = 28

/// The guest's answer to a message of an integration service: the same bytes, marked as an answer.
func integrationAnswer(_ message: [UInt8], status: UInt32 = 0) -> [UInt8] {
  var bytes = message
  bytes.storeLE(status, at: 20)
  bytes[25] = 1 | 4
  return bytes
}

extension VMBusBench {
  /// Picks the last version of each list, as Linux does if it knows it.
  @discardableResult
  mutating func agree() throws -> [UInt8] {
    let request = try #require(try rings.receive()).payload
    let frames = Int(request.loadLE(at: 28, as: UInt16.self))
    let services = Int(request.loadLE(at: 30, as: UInt16.self))
    let words = (0..<(frames + services)).map { Array(request[(36 + 4 * $0)..<(40 + 4 * $0)]) }
    var reply = integrationAnswer(Array(request[..<integrationBodyStart]))
    reply += [1, 0, 1, 0, 0, 0, 0, 0] + words[frames - 1] + words[frames + services - 1]
    try rings.send(reply)
    host.turn()
    return request
  }
}
