internal import GuestMemory
import HostSystem
internal import Sandbox

@testable internal import DeviceKit
@testable internal import Devices

/// A driver of a SATA adapter with a CD drive and a disk, which begins well (lists of both ports)
/// and then does what the input says: hostile commands, tables and registers, also while a command
/// is at the disk.
///
/// The engine has no threads: the harness serves its ports, and the disk calls back into the
/// harness, so that registers change under commands as with threads, but every time in the same
/// way.
final class AHCITarget: FuzzTarget {
  static let name = "ahci"
  static let maximumInputByteCount = 1024
  /// The harness serves the ports on the thread that writes registers.
  static let role = ThreadRole.disk

  private static let lists: UInt64 = 0x1_0000
  private static let received: UInt64 = 0x1_4000
  private static let tables: UInt64 = 0x2_0000
  private static let data: UInt64 = 0x4_0000
  /// ATA commands that there are, most of them.
  private static let codes: [UInt8] = [
    0x20, 0x24, 0x25, 0x35, 0x3D, 0x30, 0x34, 0x42, 0xC8, 0xCA, 0xE7, 0xEA, 0xEC, 0xA1, 0xEF, 0x08,
    0x90, 0xE5,
  ]
  /// MMC commands that there are.
  private static let opcodes: [UInt8] = [
    0x00, 0x03, 0x12, 0x1B, 0x1E, 0x25, 0x28, 0x2B, 0x43, 0x46, 0x4A, 0x51, 0x5A, 0xA8, 0xAD, 0xBB,
    0xBD, 0xBE,
  ]

  private let store = FuzzStore()
  private let drive: OpticalDrive
  private let bench: DeviceBench
  private var memory: GuestMemory { bench.memory }
  private let controller: AHCIController
  private var engine: AHCIEngine { controller.engine }
  private var isDisturbed = false

  init() throws {
    bench = try DeviceBench()
    drive = OpticalDrive(medium: store, serial: "fuzz")
    controller = AHCIController(
      ports: [.opticalDrive(drive), .disk(store, serial: "fuzz")],
      context: bench.context)
  }

  func run(_ input: FuzzInput) {
    store.onCall = { [unowned self] in beDisturbed(input) }
    powerOn()
    input.drive(step, serve: serve)
    store.onCall = {}
  }

  private func powerOn() {
    controller.reset()
    store.fails = false
    drive.change(to: store)
    engine.serveWaitingPorts()
    bench.clear()
    controller.setCommand(6)
    write(0x04, 0x8000_0002)
    for port in 0..<2 as Range<UInt64> {
      let registers = 0x100 + 0x80 * port
      write(registers, Self.lists + port << 10)
      write(registers + 0x08, Self.received + port << 8)
      write(registers + 0x14, 0xFFFF_FFFF)
      write(registers + 0x18, 0x17)
    }
  }

  private func write(_ offset: UInt64, _ value: UInt64, width: Int = 4) {
    controller.writeBAR(5, offset: offset, width: width, value: value)
  }

  /// What the guest's vCPUs do while a command is at the disk.
  private func beDisturbed(_ input: FuzzInput) {
    guard !isDisturbed, !input.isEmpty else { return }
    let choice = input.byte
    store.fails = choice & 0xF0 == 0xF0
    guard choice & 1 == 1 else { return }
    isDisturbed = true
    for _ in 0..<(choice >> 1 & 3) { step(input) }
    if choice & 8 != 0 { engine.serveWaitingPorts() }
    isDisturbed = false
  }

  private func serve() {
    engine.serveWaitingPorts()
    require(!engine.hasCommandsInFlight, "a command is in flight at rest")
    require(controller.readBAR(5, offset: 4, width: 4) & 1 == 0, "a reset has not ended at rest")
  }

  private func step(_ input: FuzzInput) {
    let action = input.byte
    switch action & 15 {
    case 0...6: submit(input, port: UInt64(action >> 4 & 1))
    case 7, 8: writePort(input)
    case 9:
      write(
        UInt64(input.uint16 & 0xFFF), input.anyMagnitude, width: 1 << input.index(below: 4))
    case 10:
      let offset = UInt64(input.uint16 & 0xFFF)
      _ = controller.readBAR(5, offset: offset, width: 1 << input.index(below: 4))
    case 11: controller.setCommand(UInt64(input.byte & 7))
    case 12:
      switch input.byte & 3 {
      case 0: drive.change(to: nil)
      case 1: drive.change(to: store)
      case 2 where !isDisturbed: powerOn()
      default: write(0x04, 0x8000_0003)
      }
    default: try? memory.write(input.bytes(32), at: GPA(address(input)))
    }
  }

  private func address(_ input: FuzzInput) -> UInt64 {
    DeviceBench.address(input) { kind, number in
      switch kind {
      case 0...2: Self.data + number << 12
      case 3: Self.tables + number << 8
      default: Self.lists + number << 8
      }
    }
  }

  /// A command in one of four slots, its table where the input says, and begun or not.
  private func submit(_ input: FuzzInput, port: UInt64) {
    let choice = input.byte
    let slot = UInt64(choice & 3)
    var fis = [UInt8](repeating: 0, count: 16)
    fis[0] = choice & 0xF0 == 0xF0 ? input.byte : 0x27
    fis[1] = choice & 0xF0 == 0xE0 ? 0 : 0x80
    fis[2] =
      port == 0 && choice & 4 == 0 ? 0xA0 : choice & 8 == 0 ? input.pick(Self.codes) : input.byte
    fis[3] = input.byte
    for (index, byte) in input.bytes(4).enumerated() { fis[[4, 5, 12, 13][index]] = byte }
    if choice & 0x70 == 0x70 { for index in [6, 7, 8, 9, 10, 15] { fis[index] = input.byte } }
    var packet = [input.byte & 0x80 == 0 ? input.pick(Self.opcodes) : input.byte]
    packet += input.bytes(11)
    packet += [UInt8](repeating: 0, count: 16 - packet.count)
    let table = choice & 0x30 == 0x30 ? address(input) : Self.tables + (port * 4 + slot) << 8
    try? memory.write(fis, at: GPA(table & ~0x7F))
    try? memory.write(packet, at: GPA((table & ~0x7F) &+ 0x40))
    let count = input.byte
    for entry in 0..<UInt64(count & 3) {
      let place = (table & ~0x7F) &+ 0x80 &+ 16 &* entry
      try? memory.store(address(input), at: GPA(place))
      try? memory.store(UInt32(input.uint16) << UInt32(input.byte & 7), at: GPA(place &+ 12))
    }
    let header = Self.lists + port << 10 + slot << 5
    let entryCount = count & 0x80 == 0 ? UInt32(count & 3) : UInt32(input.uint16)
    try? memory.store(entryCount << 16 | 5, at: GPA(header))
    try? memory.store(table, at: GPA(header + 8))
    if choice & 0x40 == 0 { write(0x138 + 0x80 * port, 1 << slot) }
  }

  /// A register of a port, with a value that means something or not.
  private func writePort(_ input: FuzzInput) {
    let choice = input.byte
    let registers = 0x100 + 0x80 * UInt64(choice & 1)
    switch choice >> 1 & 7 {
    case 0, 1: write(registers + 0x18, input.pick([0x06, 0x16, 0x17, 0x1F, 0x07, 0]))
    case 2: write(registers + 0x2C, input.pick([0x301, 0x300, 0x304, 0]))
    case 3: write(registers + 0x10, 0xFFFF_FFFF)
    case 4: write(registers + 0x30, 0xFFFF_FFFF)
    case 5: write(registers + 0x38, input.anyMagnitude)
    case 6: write(registers + (choice & 0x10 == 0 ? 0 : 8), address(input), width: 8)
    default: write(registers + UInt64(input.byte & 0x7C), input.anyMagnitude)
    }
  }
}
