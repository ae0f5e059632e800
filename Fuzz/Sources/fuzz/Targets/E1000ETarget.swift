internal import Bytes
internal import GuestMemory
import HostSystem

@testable internal import DeviceKit
@testable internal import Devices

/// A driver of a network card, which begins well and then does what the input says: hostile
/// descriptors, contexts, rings and registers, with frames that come in.
///
/// The engine has no threads: the harness serves it, every time in the same way.
final class E1000ETarget: FuzzTarget {
  static let name = "e1000e"
  static let maximumInputByteCount = 1024
  /// The harness serves the card on the thread that writes registers.
  static let role = ThreadRole.network

  private typealias Register = E1000ERegister

  private static let receiveRing: UInt64 = 0x1000
  private static let transmitRings: UInt64 = 0x4000
  private static let data: UInt64 = 0x1_0000
  private static let address: [UInt8] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56]
  /// Those with a meaning of their own.
  private static let registers: [UInt64] = [
    0x00, 0x08, 0x10, 0x14, 0x18, 0x20, 0x38, 0xC0, 0xC8, 0xD0, 0xD8, 0xDC, 0xE0, 0xE4, 0x100,
    0x400,
    0x102C, 0x2170, 0x2800, 0x2804, 0x2808, 0x2810, 0x2818, 0x3800, 0x3804, 0x3808, 0x3810, 0x3818,
    0x3900, 0x3904, 0x3908, 0x3910, 0x3918, 0x4074, 0x4090, 0x4094, 0x5000, 0x5008, 0x5200, 0x5400,
    0x5404, 0x5600, 0xB600, 0xB604, 0xB608,
  ]

  private let bench: DeviceBench
  private var memory: GuestMemory { bench.memory }
  private let cable = FuzzCable()
  private let card: E1000EController
  private var frames = NetworkFrames(headerByteCount: 0, maximumFrameByteCount: 65_535)
  private var tails = [0, 0]

  init() throws {
    bench = try DeviceBench()
    card = E1000EController(
      address: Self.address, backend: cable, context: bench.context)
  }

  func run(_ input: FuzzInput) {
    powerOn()
    input.drive(step, serve: serve)
  }

  private func serve() {
    card.engine.transmit()
    _ = card.engine.deliver(&frames)
    for ring in [Register.receiveRing, Register.transmitRing, Register.transmitRing + 0x100] {
      require(read(ring + Register.Ring.head) <= 0xFFFF, "a head outside")
    }
  }

  private func powerOn() {
    card.reset()
    frames.removeAll()
    tails = [0, 0]
    bench.clear()
    card.setCommand(6)
    write(Register.control, UInt64(E1000EControl.setLinkUp))
    write(Register.receiveRing, Self.receiveRing)
    write(Register.receiveRing + 8, 256)
    for index in 0..<16 as Range<UInt64> {
      try? memory.store(Self.data + 0x1000 * index, at: GPA(Self.receiveRing + 16 * index))
    }
    write(Register.receiveRing + 0x18, 15)
    write(Register.receiveChecksum, 0x300)
    write(Register.receiveControl, 0x0400_8002)
    for queue in 0..<2 as Range<UInt64> {
      let ring = Register.transmitRing + 0x100 * queue
      write(ring, Self.transmitRings + 0x1000 * queue)
      write(ring + 8, 256)
    }
    write(Register.transmitControl, 2)
    write(Register.maskSet, 0x01F0_00D7)
  }

  private func write(_ offset: UInt64, _ value: UInt64, width: Int = 4) {
    card.writeBAR(0, offset: offset, width: width, value: value)
  }

  private func read(_ offset: UInt64) -> UInt64 {
    card.readBAR(0, offset: offset, width: 4) & 0xFFFF_FFFF
  }

  private func put(_ low: UInt64, _ high: UInt64, on queue: Int) {
    let place = Self.transmitRings + 0x1000 * UInt64(queue) + 16 * UInt64(tails[queue])
    try? memory.store(low, at: GPA(place))
    try? memory.store(high, at: GPA(place + 8))
    tails[queue] = (tails[queue] + 1) % 16
  }

  // MARK: Steps

  private func step(_ input: FuzzInput) {
    let action = input.byte
    let queue = Int(action >> 7)
    switch action & 15 {
    case 0, 1:
      // A context that may be right: IPv4 or IPv6, TCP or UDP.
      let low: UInt64 = 14 | 24 << 8 | 33 << 16 | 34 << 32 | 50 << 40
      let hostile = action & 0x40 == 0 ? 0 : input.uint64
      put(
        low ^ hostile,
        0x2000_0000 | UInt64(input.byte & 7) << 24 | UInt64(input.byte) << 40
          | UInt64(input.uint16) << 48, on: queue)
    case 2, 3, 4:
      put(
        address(input),
        UInt64(input.byte) << 24 | UInt64(action >> 4 & 3) << 20 | input.anyMagnitude & 0xF_FFFF
          | UInt64(input.byte & 3) << 40 | UInt64(input.uint16) << 48, on: queue)
    case 5, 6:
      write(Register.transmitRing + 0x100 * UInt64(queue) + 0x18, UInt64(tails[queue]))
    case 7, 8: deliver(input, Int(input.uint16))
    case 9: write(Register.receiveRing + 0x18, UInt64(input.byte))
    case 10: write(input.pick(Self.registers), input.anyMagnitude)
    case 11:
      write(UInt64(input.uint32 & 0x1_FFFF), input.anyMagnitude, width: 1 << input.index(below: 4))
    case 12:
      _ = card.readBAR(
        0, offset: UInt64(input.uint32 & 0x1_FFF8), width: 1 << input.index(below: 4))
    case 13:
      switch input.byte & 7 {
      case 0: powerOn()
      case 1: write(Register.control, 1 << 26)
      case 2: card.setCommand(UInt64(input.byte & 7))
      case 3: card.writeBAR(2, offset: 0, width: 4, value: input.anyMagnitude)
      case 4: card.writeBAR(2, offset: 4, width: 4, value: input.anyMagnitude)
      default: write(Register.receiveControl, UInt64(input.uint32) | 2)
      }
    case 14: try? memory.write(input.bytes(32), at: GPA(address(input)))
    default: write(Register.control, UInt64(input.uint32) & ~(1 << 26))
    }
  }

  private func deliver(_ input: FuzzInput, _ byteCount: Int) {
    guard frames.hasRoom else { return }
    let choice = input.byte
    var bytes = choice & 1 == 0 ? Self.address : input.bytes(6)
    bytes += Self.address + (choice & 2 == 0 ? [0x08, 0x00, 0x45] : input.bytes(8))
    if choice & 4 != 0 {
      bytes.insert(contentsOf: [0x81, 0x00, choice, 5], at: min(12, bytes.count))
    }
    bytes += input.bytes(40)
    let missing = max(14, byteCount) - bytes.count
    if missing > 0 { bytes += [UInt8](repeating: choice, count: missing) }
    frames.begin()
    // SAFETY: a byte is initialised and has no padding.
    unsafe frames.append(bytes.span.bytes)
    frames.finish()
  }

  private func address(_ input: FuzzInput) -> UInt64 {
    DeviceBench.address(input, kindCount: 6) { kind, number in
      switch kind {
      case 0...3: Self.data + number << 8
      case 4: Self.receiveRing + number << 4
      default: Self.transmitRings + number << 7
      }
    }
  }
}
