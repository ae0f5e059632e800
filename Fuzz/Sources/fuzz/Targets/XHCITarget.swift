internal import GuestMemory
import HostSystem
internal import Sandbox

@testable internal import DeviceKit
@testable internal import Devices

/// A driver of a USB controller with a tablet and a keyboard, which begins well (rings, and often
/// both devices configured) and then does what the input says: hostile commands, transfers,
/// contexts, links, tables and registers, with viewers that point and type.
///
/// The engine has no thread: the harness serves it, every time in the same way.
final class XHCITarget: FuzzTarget {
  static let name = "xhci"
  static let maximumInputByteCount = 1024
  /// The harness serves the controller on the thread that writes registers.
  static let role = ThreadRole.disk

  private typealias Register = XHCICore.Register
  private typealias Request = XHCITransferRequest

  private static let contextArray: UInt64 = 0x1000
  private static let segmentTable: UInt64 = 0x1800
  private static let input: UInt64 = 0x2000
  private static let events: UInt64 = 0x3000
  /// Of commands first, then of each slot's endpoints: 64 blocks each.
  private static let rings: UInt64 = 0x4000
  private static let contexts: UInt64 = 0x8000
  private static let data: UInt64 = 0x1_0000
  private static let ringByteCount: UInt64 = 0x400
  /// Requests that devices know, most of them: type and code, and *wValue*.
  private static let requests: [(UInt64, UInt64)] = [
    (0x0680, 0x100), (0x0680, 0x200), (0x0680, 0x302), (0x0681, 0x2200), (0x0900, 1), (0x0900, 0),
    (0x0080, 0), (0x0082, 0), (0x0102, 0), (0x0302, 0), (0x0300, 1), (0x0880, 0), (0x0A81, 0),
    (0x01A1, 0x100), (0x0921, 0x200), (0x0A21, 0), (0x0B21, 1), (0x02A1, 0), (0x03A1, 0),
  ]

  private let bench: DeviceBench
  private var memory: GuestMemory { bench.memory }
  private let controller: XHCIController
  private let inputs: InputSwitch
  private var engine: XHCIEngine { controller.engine }
  /// Where the driver is in its rings, by their numbers.
  private var rings: [Int: XHCIRing] = [:]

  init() throws {
    bench = try DeviceBench()
    controller = XHCIController([.tablet, .keyboard], context: bench.context)
    inputs = InputSwitch(legacy: KeyboardController {}, usb: controller)
  }

  func run(_ input: FuzzInput) {
    powerOn(input)
    input.drive(step, serve: serve)
    _ = inputs.lights
  }

  private func serve() {
    engine.serveIfWaiting()
    require(engine.work.waitingCount == 0, "work waits at rest")
    require(
      read(Register.status) & 1 == 0 || read(Register.commandRing) & 8 == 0,
      "commands run on a controller that has halted")
  }

  private func powerOn(_ input: FuzzInput) {
    controller.reset()
    engine.serveIfWaiting()
    rings = [:]
    bench.clear()
    controller.setCommand(6)
    write(Register.configuration, 64)
    write(Register.contextArray, Self.contextArray, width: 8)
    for slot in 1...8 as ClosedRange<UInt64> {
      try? memory.store(Self.contexts + slot << 10, at: GPA(Self.contextArray + 8 * slot))
    }
    write(Register.commandRing, ring(0) | 1, width: 8)
    try? memory.store(Self.events, at: GPA(Self.segmentTable))
    try? memory.store(UInt32(64), at: GPA(Self.segmentTable + 8))
    write(Register.interrupter + 8, 1)
    write(Register.interrupter + 0x10, Self.segmentTable, width: 8)
    write(Register.interrupter + 0x18, Self.events | 8, width: 8)
    write(Register.interrupter, 2)
    write(Register.command, 5)
    guard !input.isEmpty, input.bool else { return }
    for slot in 1...2 as ClosedRange<UInt64> {
      write(Register.firstPort + 0x10 * (slot - 1), 0x210)
      put(.enableSlot, on: 0)
      putContext(port: UInt32(slot), added: 3, slot: Int(slot))
      put(.addressDevice, Self.input, flags: UInt32(slot) << 24, on: 0)
      bell(0, 0)
      putContext(port: UInt32(slot), added: 9, slot: Int(slot))
      put(.configureEndpoint, Self.input, flags: UInt32(slot) << 24, on: 0)
      bell(0, 0)
      control(0x0900 | 1 << 16, byteCount: 0, slot: Int(slot))
      wait(slot: Int(slot), byteCount: 8)
      takeEvents()
    }
  }

  // MARK: The driver

  private func write(_ offset: UInt64, _ value: UInt64, width: Int = 4) {
    controller.writeBAR(0, offset: offset, width: width, value: value)
  }

  private func read(_ offset: UInt64) -> UInt64 {
    controller.readBAR(0, offset: offset, width: 4)
  }

  private func bell(_ slot: Int, _ endpoint: Int) {
    write(Register.bells + 4 * UInt64(slot), UInt64(endpoint))
    engine.serveIfWaiting()
  }

  /// The start of a ring: 0 of commands, 2 * slot - 1 and 2 * slot of a slot's endpoints.
  private func ring(_ number: Int) -> UInt64 {
    Self.rings + Self.ringByteCount * UInt64(number)
  }

  private func put(
    _ kind: Request.Kind, _ parameter: UInt64 = 0, status: UInt32 = 0, flags: UInt32 = 0,
    on number: Int
  ) {
    let start = ring(number)
    var place = rings[number] ?? XHCIRing(start | 1)
    if place.pointer >= start + Self.ringByteCount - 16 {
      try? memory.store(start, at: GPA(place.pointer))
      try? memory.store(
        UInt32(6 << 10 | 2) | (place.cycle ? 1 : 0), at: GPA(place.pointer + 12))
      place = XHCIRing(start | (place.cycle ? 0 : 1))
    }
    try? memory.store(parameter, at: GPA(place.pointer))
    try? memory.store(status, at: GPA(place.pointer + 8))
    try? memory.store(
      flags & ~0xFC01 | UInt32(kind.rawValue) << 10 | (place.cycle ? 1 : 0),
      at: GPA(place.pointer + 12))
    place.advance()
    rings[number] = place
  }

  private func putContext(port: UInt32, added: UInt32, dropped: UInt32 = 0, slot: Int) {
    try? memory.fill(at: GPA(Self.input), byteCount: 33 * 32, with: 0)
    let words: [UInt64: UInt32] = [
      0: dropped, 4: added, 32: 0x1800_0000, 36: port << 16, 68: 0x40_0020, 132: 0x8_0038,
    ]
    for (offset, value) in words { try? memory.store(value, at: GPA(Self.input + offset)) }
    for (offset, number): (UInt64, Int) in [(72, 2 * slot - 1), (136, 2 * slot)] {
      try? memory.store(
        rings[number]?.value ?? ring(number) | 1, at: GPA(Self.input + offset))
    }
  }

  private func control(_ setup: UInt64, byteCount: UInt32, slot: Int) {
    let isInput: UInt32 = setup & 0x80 != 0 ? 1 << 16 : 0
    put(.setupStage, setup | UInt64(byteCount) << 48, status: 8, flags: 1 << 6, on: 2 * slot - 1)
    if byteCount > 0 {
      put(.dataStage, Self.data, status: byteCount, flags: 1 << 2 | isInput, on: 2 * slot - 1)
    }
    put(.statusStage, flags: 1 << 5, on: 2 * slot - 1)
    bell(slot, 1)
  }

  private func wait(slot: Int, byteCount: UInt32) {
    put(.normal, Self.data, status: byteCount, flags: 1 << 5 | 1 << 2, on: 2 * slot)
    bell(slot, 3)
  }

  /// Whatever is there, as far as the first segment goes.
  private func takeEvents() {
    let place = Self.events + UInt64(read(Register.interrupter + 0x18) >> 4 & 0x3F) << 4
    let next = place + 16 * 16
    write(
      Register.interrupter + 0x18, (next >= Self.events + 0x400 ? Self.events : next) | 8, width: 8)
  }

  // MARK: Steps

  private func step(_ input: FuzzInput) {
    let action = input.byte
    let slot = 1 + Int(action >> 4 & 1)
    switch action & 15 {
    case 0, 1: command(input, slot)
    case 2, 3:
      let (request, value) = input.pick(Self.requests)
      let hostile: UInt64 = action & 0x80 == 0 ? 0 : input.uint64 & 0xFFFF_FFFF_FFFF
      control(
        request ^ hostile | value << 16 | UInt64(input.byte & 0x81) << 32,
        byteCount: UInt32(input.byte), slot: slot)
    case 4: wait(slot: slot, byteCount: UInt32(input.byte & 15))
    case 5, 6:
      put(
        Request.Kind(rawValue: input.byte & 0x1F), address(input), status: UInt32(input.uint16),
        flags: UInt32(input.uint16) | UInt32(input.byte & 3) << 16,
        on: input.index(below: 5))
    case 7: bell(input.index(below: 65), Int(input.byte))
    case 8: point(input)
    case 9:
      inputs.setKey(KeyboardKey(rawValue: input.byte), isDown: action & 0x80 != 0)
    case 10:
      write(
        UInt64(input.uint16 & 0x3FFF), input.anyMagnitude, width: 1 << input.index(below: 4))
    case 11:
      _ = controller.readBAR(
        0, offset: UInt64(input.uint16 & 0x3FFF), width: 1 << input.index(below: 4))
    case 12: writePort(input)
    case 13: controller.setCommand(UInt64(input.byte & 7))
    case 14:
      switch input.byte & 7 {
      case 0: powerOn(input)
      case 1: write(Register.command, 2)
      case 2: write(Register.command, 5)
      case 3: write(Register.command, 4)
      case 4: write(Register.interrupter + 0x10, address(input), width: 8)
      case 5: write(Register.commandRing, address(input), width: 8)
      default: takeEvents()
      }
    default: try? memory.write(input.bytes(32), at: GPA(address(input)))
    }
  }

  private func command(_ input: FuzzInput, _ slot: Int) {
    let choice = input.byte
    let isUsual = choice & 0x80 == 0
    if choice & 0x40 == 0 {
      putContext(
        port: UInt32(isUsual ? UInt8(slot) : input.byte), added: isUsual ? 9 : UInt32(input.byte),
        dropped: UInt32(input.byte & 0xC), slot: slot)
    }
    let number = isUsual ? UInt32(slot) : UInt32(input.byte)
    put(
      Request.Kind(rawValue: 9 + choice & 15), isUsual ? Self.input : address(input),
      flags: number << 24 | UInt32(input.byte & 0x1F) << 16 | UInt32(choice >> 4 & 1) << 9, on: 0)
    if choice & 0x20 == 0 { bell(0, 0) }
  }

  private func point(_ input: FuzzInput) {
    let choice = input.byte
    guard choice & 1 == 0 else {
      return inputs.turnWheel(vertical: Int(Int16(bitPattern: input.uint16)), horizontal: 1)
    }
    let size = choice & 2 == 0 ? 1024 : Int(truncatingIfNeeded: input.uint64)
    inputs.setPointer(
      PointerState(
        x: Int(Int16(bitPattern: input.uint16)), y: Int(truncatingIfNeeded: input.anyMagnitude),
        width: size, height: size, buttons: PointerButtons(rawValue: choice >> 2)))
  }

  private func writePort(_ input: FuzzInput) {
    let choice = input.byte
    let port = Register.firstPort + 0x10 * UInt64(choice & 3)
    switch choice >> 2 & 7 {
    case 0, 1: write(port, 0x210)
    case 2: write(port, 0x1_0200 | UInt64(input.byte & 15) << 5)
    case 3: write(port, 0x7F << 17)
    case 4: write(port, 2)
    default: write(port + UInt64(choice >> 3 & 0xC), input.anyMagnitude)
    }
  }

  private func address(_ input: FuzzInput) -> UInt64 {
    DeviceBench.address(input) { kind, number in
      switch kind {
      case 0, 1: Self.data + number << 8
      case 2, 3: Self.rings + number << 8
      default: Self.contextArray + number << 8
      }
    }
  }
}
