internal import GuestMemory
import HostSystem
internal import Sandbox

@testable internal import DeviceKit
@testable internal import Devices

/// A driver that begins well (an admin queue, three I/O pairs) and then does what the input says:
/// hostile commands, PRPs, doorbells and register writes, also while a command is at the disk.
///
/// The engine has no threads: the harness serves its queues, and the disk calls back into the
/// harness, so that commands overlap as with threads, but every time in the same way.
final class NVMeTarget: FuzzTarget {
  static let name = "nvme"
  static let maximumInputByteCount = 1024
  /// The harness serves the queues on the thread that rings.
  static let role = ThreadRole.disk

  private static let pairCount = 3
  /// How deep commands overlap.
  private static let maximumDepth = 3
  private let bench: NVMeBench
  private var depth = 0

  init() throws {
    bench = try NVMeBench(pairCount: Self.pairCount)
  }

  func run(_ input: FuzzInput) {
    bench.store.onCall = { [unowned self] in beDisturbed(input) }
    bench.powerOn()
    input.drive(step, serve: serve)
    bench.engine.reset()
    bench.checkRest()
    bench.store.onCall = {}
  }

  /// What the guest's other vCPUs, and other threads, do while a command is at the disk.
  private func beDisturbed(_ input: FuzzInput) {
    guard depth < Self.maximumDepth, !input.isEmpty else { return }
    let choice = input.byte
    bench.store.fails = choice & 0xF0 == 0xF0
    guard choice & 1 == 1 else { return }
    depth += 1
    for _ in 0..<(choice >> 1 & 3) { step(input) }
    if choice & 8 != 0 { bench.engine.serveWaitingQueues() }
    depth -= 1
  }

  private func serve() {
    bench.engine.serveWaitingQueues()
    bench.checkRest()
  }

  private func step(_ input: FuzzInput) {
    let action = input.byte
    switch action & 15 {
    case 0...5: submit(input, toAdmin: action & 15 < 2, rings: action & 0x30 != 0)
    case 6: ring(input)
    case 7: writeRegister(input)
    case 8, 9: writeList(input)
    case 10, 11: for queue in 0...Self.pairCount { bench.acknowledge(queue) }
    case 12: configure(input)
    case 13:
      let offset = UInt64(input.uint16 & 0x1FFF)
      _ = bench.engine.read(offset: offset, width: 1 << input.index(below: 4))
    case 14:
      switch input.byte {
      case 0 where depth == 0:
        // Not while a command is at the disk: it waits for that.
        bench.engine.reset()
        bench.checkRest()
        bench.powerOn()
      case 1: bench.functionLevelReset()
      default: break
      }
    default: bench.write([UInt8](repeating: input.byte, count: 64), at: address(input))
    }
    bench.checkRings()
  }

  // MARK: Commands

  private func submit(_ input: FuzzInput, toAdmin: Bool, rings: Bool) {
    let queue = toAdmin ? 0 : 1 + input.index(below: Self.pairCount)
    var command = toAdmin ? adminCommand(input) : ioCommand(input)
    command.prp1 = address(input)
    command.prp2 = address(input)
    command.identifier = UInt16(input.byte)
    bench.enqueue(command, queue, rings: rings)
  }

  private func adminCommand(_ input: FuzzInput) -> NVMeCommand {
    var command = NVMeCommand()
    let choice = input.byte
    command.opcode =
      choice & 0x80 == 0
      ? NVMeAdminOpcode.all[Int(choice & 0x7F) % NVMeAdminOpcode.all.count].rawValue : input.byte
    command.namespace = [0, 1, 2, 0xFFFF_FFFF][Int(input.byte & 3)]
    // An identifier and a size, or a selector; then a partner or a vector, and flags.
    command.dwords[0] = UInt32(input.byte % 5) | UInt32(input.byte & 31) << 16
    command.dwords[1] = UInt32(input.byte & 3) | UInt32(input.byte % 5) << 16
    if choice & 0x40 != 0 {
      for index in 0..<6 { command.dwords[index] = UInt32(truncatingIfNeeded: input.anyMagnitude) }
    }
    return command
  }

  private func ioCommand(_ input: FuzzInput) -> NVMeCommand {
    var command = NVMeCommand()
    let choice = input.byte
    command.opcode =
      choice & 0x80 == 0
      ? NVMeIOOpcode.all[Int(choice & 0x7F) % NVMeIOOpcode.all.count].rawValue : input.byte
    command.namespace = choice & 0x60 == 0x60 ? 0xFFFF_FFFF : 1
    command.flags = choice & 0x50 == 0x50 ? input.byte : 0
    command.dwords[0] = UInt32(input.byte)
    command.dwords[1] = input.byte & 0x81 == 0x81 ? input.uint32 : UInt32(input.byte & 4)
    let count = input.byte
    command.dwords[2] =
      count & 0x80 == 0
      ? UInt32(count & 0x7F) : UInt32(input.uint16) | UInt32(count & 0x7E) << 25
    return command
  }

  /// Somewhere in RAM, at its end, in the lists, in the queues themselves, or nowhere.
  private func address(_ input: FuzzInput) -> UInt64 {
    let choice = input.byte
    let offset: UInt64 = choice & 8 == 0 ? 0 : UInt64(input.byte) << UInt64(choice >> 7)
    switch choice & 7 {
    case 0...1: return NVMeBench.data + UInt64(choice >> 4) << 12 + offset
    case 2...3: return NVMeBench.lists + UInt64(choice >> 4) << 12 + offset
    case 4: return NVMeBench.lists + UInt64(choice >> 4) << 12 + 0xFF8 - (offset & ~7)
    case 5: return DeviceBench.ramByteCount - offset
    case 6: return UInt64(choice >> 4) << 12 + offset
    default: return choice & 0x10 == 0 ? input.uint64 : 0 &- offset
    }
  }

  /// Entries of PRP lists, or ranges of Dataset Management, which are as long as two.
  private func writeList(_ input: FuzzInput) {
    var bytes: [UInt8] = []
    let start = address(input)
    for _ in 0..<(1 + input.index(below: 32)) {
      let entry = input.byte & 1 == 0 ? address(input) & ~0xFFF : start
      for shift in stride(from: UInt64(0), to: 64, by: 8) {
        bytes.append(UInt8(truncatingIfNeeded: entry >> shift))
      }
    }
    // One short list, or a page full of it.
    let copies = input.bool ? 4096 / bytes.count : 1
    bench.write(Array(repeatElement(bytes, count: copies).joined()), at: start)
  }

  // MARK: Registers

  /// A doorbell of any value, in its register, its shadow, or both.
  private func ring(_ input: FuzzInput) {
    let number = Int(input.byte & 15)
    let value = input.bool ? UInt32(input.byte & 31) : input.uint32
    let choice = input.byte
    if choice & 1 == 0 { bench.setShadow(number % 2 == 0 ? .tail : .head, number / 2, value) }
    if choice & 2 == 0 { bench.ring(number, value) }
    if choice & 0x30 == 0x30 { bench.setPollHoldOff(Int(choice & 1)) }
  }

  private func writeRegister(_ input: FuzzInput) {
    let choice = input.byte
    switch choice & 3 {
    case 0:
      // CC: off, on, on with a strange setup, shut down.
      let values: [UInt64] = [0x46_0000, 0x46_0001, 0x45_0001, 0x46_0011, 0x46_4001, 1]
      bench.engine.write(offset: 0x14, width: 4, value: input.pick(values))
    case 1:
      bench.engine.write(
        offset: UInt64(input.byte & 0x3F), width: choice & 4 == 0 ? 4 : 8, value: input.anyMagnitude
      )
    default:
      bench.engine.write(
        offset: UInt64(input.uint16 & 0x1FFF), width: 1 << Int(choice >> 2 & 3),
        value: input.anyMagnitude)
    }
  }

  private func configure(_ input: FuzzInput) {
    let choice = input.byte
    bench.configure(
      command: UInt64(choice & 7), messageControl: UInt64(choice & 0xC0) << 8,
      vector: UInt64(choice >> 3 & 7), isMasked: input.bool)
  }
}
