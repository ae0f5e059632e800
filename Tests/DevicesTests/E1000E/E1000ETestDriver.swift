import Bytes
import DeviceKit
import GuestMemory
import HostSystem
import Sandbox
import TestSupport
import Testing

@testable import Devices

/// A card with guest memory and a driver, whose rings and buffers are at fixed places.
///
/// The card's threads, and the one that reads and writes its registers, are under the filters of
/// the program's.
final class E1000ETestDriver {
  static let receiveRing: UInt64 = 0x1_0000
  static let transmitRing: UInt64 = 0x2_0000
  static let buffers: UInt64 = 0x10_0000
  static let packets: UInt64 = 0x20_0000
  static let ringCount = 16
  static let ramByteCount: UInt64 = 8 << 20
  static let address: [UInt8] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56]
  static let far: [UInt8] = [0x52, 0x55, 0x0A, 0x00, 0x02, 0x02]
  private static let place = PCIAddress(device: 1)
  typealias Register = E1000ERegister

  let memory: GuestMemory
  let cable: TestCable
  let card: E1000EController
  let sink = RecordingSink()
  let line = RecordingLine()
  let vcpu = RoleThread(.vcpu)
  private let host: PCIHost
  private var transmitTail = 0

  init(usesMSIX: Bool = false, starts: Bool = true) throws {
    memory = try GuestMemory(layout: GuestMemoryLayout(ramByteCount: Self.ramByteCount))
    cable = TestCable(maximumFrameByteCount: 65_535)
    card = Self.makeCard(cable, memory, sink, line)
    host = PCIHost([(Self.place, card)])
    try configureFunction(usesMSIX: usesMSIX)
    try card.start()
    if starts { try start() }
  }

  /// The driver with another card over the same memory, at the same cable, which is to go on where
  /// the first one is: as new, not started, and with configuration registers as the first one has
  /// them.
  init(insteadOf other: E1000ETestDriver, address: [UInt8] = address) throws {
    (memory, cable, transmitTail) = (other.memory, other.cable, other.transmitTail)
    card = Self.makeCard(cable, memory, sink, line, address)
    host = PCIHost([(Self.place, card)])
    try configureFunction(usesMSIX: other.card.endpoint.usesMSIX)
  }

  private static func makeCard(
    _ cable: TestCable, _ memory: GuestMemory, _ sink: RecordingSink, _ line: RecordingLine,
    _ address: [UInt8] = address
  ) -> E1000EController {
    var policy = SandboxPolicy()
    policy.hasNetwork = true
    return E1000EController(
      address: address, backend: cable,
      context: PCIContext(
        memory: memory, messages: sink, interruptLine: line,
        onThreadStart: { [policy] in ThreadFilter.enter(.network, policy) }))
  }

  private func configureFunction(usesMSIX: Bool) throws {
    configure(0x04, 2, 6)
    guard usesMSIX else { return }
    for vector in 0..<UInt64(5) {
      writeVector(16 * vector, 0xFEE0_0000)
      writeVector(16 * vector + 8, 0x40 + vector)
      writeVector(16 * vector + 12, 0)
    }
    let capability = try #require(msixCapability)
    configure(capability + 2, 2, 0x8000)
  }

  private var msixCapability: Int? {
    var offset = Int(card.configuration.read(offset: 0x34, width: 1))
    while offset != 0 {
      if card.configuration.read(offset: offset, width: 1) == 0x11 { return offset }
      offset = Int(card.configuration.read(offset: offset + 1, width: 1))
    }
    return nil
  }

  func configure(_ offset: Int, _ width: Int, _ value: UInt64) {
    vcpu.run { [host] in
      host.writeConfiguration(Self.place, offset: offset, width: width, value: value)
    }
  }

  private func writeVector(_ offset: UInt64, _ value: UInt64) {
    _ = card.endpoint.writeBAR(3, offset: offset, width: 4, value: value)
  }

  func write(_ offset: UInt64, _ value: UInt32) {
    vcpu.run { [card] in card.writeBAR(0, offset: offset, width: 4, value: UInt64(value)) }
  }

  func read(_ offset: UInt64) -> UInt32 {
    vcpu.run { [card] in UInt32(truncatingIfNeeded: card.readBAR(0, offset: offset, width: 4)) }
  }

  /// As drivers do: link, rings, 15 buffers of 2 KiB, all causes but none enabled.
  func start(receiveControl: UInt32 = 0x0400_8002, length: Int = ringCount * 16) throws {
    write(Register.control, E1000EControl.setLinkUp)
    write(Register.receiveRing, UInt32(Self.receiveRing))
    write(Register.receiveRing + 8, UInt32(length))
    for index in 0..<Self.ringCount { try putBuffer(index) }
    write(Register.receiveRing + 0x18, UInt32(Self.ringCount - 1))
    write(Register.receiveControl, receiveControl)
    write(Register.transmitRing, UInt32(Self.transmitRing))
    write(Register.transmitRing + 8, UInt32(Self.ringCount * 16))
    write(Register.transmitControl, 2)
    // The link has come up; nothing is enabled, so reading clears.
    _ = read(Register.cause)
  }

  static func buffer(_ index: Int) -> UInt64 { buffers + 0x1000 * UInt64(index) }

  func putBuffer(_ index: Int) throws {
    let descriptor = GPA(Self.receiveRing + 16 * UInt64(index))
    try memory.store(Self.buffer(index), at: descriptor)
    try memory.store(UInt64(0), at: GPA(descriptor.rawValue + 8))
  }

  /// A receive descriptor's second word, when the card is done with it.
  func received(_ index: Int, at offset: UInt64 = 8) throws -> UInt64 {
    let address = GPA(Self.receiveRing + 16 * UInt64(index) + offset)
    try waitUntil { try memory.load(at: address, as: UInt64.self) >> 32 & 1 != 0 }
    return try memory.load(at: address)
  }

  func bytes(_ address: UInt64, _ count: Int) throws -> [UInt8] {
    try memory.read(at: GPA(address), byteCount: count)
  }

  /// Puts a descriptor on the transmit ring; it is the card's with `ring`.
  func put(_ low: UInt64, _ high: UInt64) throws {
    let place = Self.transmitRing + 16 * UInt64(transmitTail)
    try memory.store(low, at: GPA(place))
    try memory.store(high, at: GPA(place + 8))
    transmitTail = (transmitTail + 1) % Self.ringCount
  }

  func ring() {
    write(Register.transmitRing + 0x18, UInt32(transmitTail))
  }

  /// A frame from here to there.
  static func frame(
    to: [UInt8] = address, from: [UInt8] = far, type: UInt16 = 0x88B5, _ payload: [UInt8]
  ) -> [UInt8] {
    to + from + type.bigEndianBytes + payload
  }

  /// TCP over IPv4, with right checksums unless they are left to the card.
  static func segment(_ payload: [UInt8], flags: UInt8 = 0x10, isFinished: Bool = true) -> [UInt8] {
    var tcp: [UInt8] = [
      0x9C, 0x40, 0, 80, 0, 0, 0x10, 0, 0, 0, 0, 1, 0x50, flags, 0xFF, 0xFF, 0, 0, 0, 0,
    ]
    tcp += payload
    let count = 20 + tcp.count
    var ip: [UInt8] = [
      0x45, 0, UInt8(count >> 8 & 0xFF), UInt8(count & 0xFF), 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10,
      0, 2, 15, 10, 0, 2, 2,
    ]
    let pseudo = sum(
      Array(ip[12...]) + [0, 6] + (isFinished ? UInt16(tcp.count).bigEndianBytes : []))
    if isFinished {
      ip.storeBE(~sum(ip), at: 10)
      tcp.storeBE(
        ~sum(tcp + [UInt8](repeating: 0, count: tcp.count % 2) + pseudo.bigEndianBytes), at: 16)
    } else {
      tcp.storeBE(pseudo, at: 16)
    }
    return frame(type: 0x0800, ip + tcp)
  }

  /// The sum of RFC 1071, word by word.
  static func sum(_ bytes: [UInt8]) -> UInt16 {
    var sum: UInt32 = 0
    for index in stride(from: 0, to: bytes.count, by: 2) {
      sum += UInt32(bytes[index]) << 8 | (index + 1 < bytes.count ? UInt32(bytes[index + 1]) : 0)
    }
    while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
    return UInt16(sum)
  }

  /// Whether the checksums of IPv4 and TCP are right.
  static func isRight(_ frame: [UInt8]) -> Bool {
    let ip = Array(frame[14..<34])
    let count = Int(frame.loadBE(at: 16, as: UInt16.self))
    guard 14 + count == frame.count else { return false }
    let tcp = Array(frame[34...])
    let pseudo = Array(ip[12...]) + [0, 6] + UInt16(tcp.count).bigEndianBytes
    return sum(ip) == 0xFFFF && sum(pseudo + tcp) == 0xFFFF
  }
}
