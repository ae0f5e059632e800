import Bytes
import DeviceKit
import GuestMemory
import HostSystem
import Sandbox
import TestSupport
import Testing

@testable import Devices

/// An adapter with guest memory and a driver of one command at a time: lists of each port, table
/// and data at fixed places.
///
/// Its threads, and the one that reads and writes its registers, are under the filters of the
/// program's.
final class TestAdapter {
  static let lists: UInt64 = 0x1_0000
  static let received: UInt64 = 0x2_0000
  static let tables: UInt64 = 0x3_0000
  static let data: UInt64 = 0x10_0000
  static let ramByteCount: UInt64 = 4 << 20
  private static let address = PCIAddress(device: 1)

  let memory: GuestMemory
  let controller: AHCIController
  let sink = RecordingSink()
  let line = RecordingLine()
  let vcpu = RoleThread(.vcpu)
  private let host: PCIHost

  /// - Parameter starts: whether each port is brought up as drivers do.
  convenience init(
    _ ports: [AHCIController.Port], usesMSI: Bool = false, starts: Bool = true
  ) throws {
    self.init(
      ports, over: try GuestMemory(layout: GuestMemoryLayout(ramByteCount: Self.ramByteCount)),
      usesMSI: usesMSI)
    try controller.start()
    guard starts else { return }
    write(0x04, 0x8000_0002)
    for port in ports.indices { start(port) }
  }

  /// Another adapter over the same memory, which is to go on where the first one is: as new, not
  /// started, and with configuration registers as the first one has them.
  convenience init(
    insteadOf other: TestAdapter, _ ports: [AHCIController.Port], usesMSI: Bool = false
  ) {
    self.init(ports, over: other.memory, usesMSI: usesMSI)
  }

  private init(_ ports: [AHCIController.Port], over memory: GuestMemory, usesMSI: Bool) {
    self.memory = memory
    controller = AHCIController(
      ports: ports,
      context: PCIContext(
        memory: memory, messages: sink, interruptLine: line,
        onThreadStart: { ThreadFilter.enter(.disk) }))
    host = PCIHost([(Self.address, controller)])
    configureFunction(usesMSI: usesMSI)
  }

  private func configureFunction(usesMSI: Bool) {
    configure(0x04, 2, 6)
    if usesMSI {
      configure(0x44, 4, 0xFEE0_0000)
      configure(0x4C, 2, 0x41)
      configure(0x42, 2, 1)
    }
  }

  func configure(_ offset: Int, _ width: Int, _ value: UInt64) {
    vcpu.run { [host] in
      host.writeConfiguration(Self.address, offset: offset, width: width, value: value)
    }
  }

  func write(_ offset: UInt64, _ value: UInt64, width: Int = 4) {
    vcpu.run { [controller] in
      controller.writeBAR(5, offset: offset, width: width, value: value)
    }
  }

  func read(_ offset: UInt64, width: Int = 4) -> UInt64 {
    vcpu.run { [controller] in
      let value = controller.readBAR(5, offset: offset, width: width)
      return width == 8 ? value : value & (1 << UInt64(8 * width) - 1)
    }
  }

  static func place(_ port: Int, _ register: UInt64) -> UInt64 {
    0x100 + 0x80 * UInt64(port) + register
  }

  func write(_ port: Int, _ register: UInt64, _ value: UInt64) {
    write(Self.place(port, register), value)
  }

  func read(_ port: Int, _ register: UInt64) -> UInt64 {
    read(Self.place(port, register))
  }

  /// Lists, interrupts, and the command list runs.
  func start(_ port: Int) {
    write(port, AHCIPort.Register.commandList, Self.lists + UInt64(port) << 12)
    write(port, AHCIPort.Register.receivedFIS, Self.received + UInt64(port) << 12)
    write(port, AHCIPort.Register.interruptEnable, 0xFDC0_00FF)
    write(port, AHCIPort.Register.command, 0x16)
    write(port, AHCIPort.Register.command, 0x17)
  }

  /// Stops the list, waits until memory is left alone, starts again.
  func restart(_ port: Int) throws {
    write(port, AHCIPort.Register.command, 0x16)
    try waitUntil { read(port, AHCIPort.Register.command) & 0x8000 == 0 }
    write(port, AHCIPort.Register.interruptStatus, 0xFFFF_FFFF)
    write(port, AHCIPort.Register.command, 0x17)
  }

  /// A command's FIS.
  static func fis(
    _ code: UInt8, features: UInt16 = 0, lba: UInt64 = 0, count: UInt16 = 0, device: UInt8 = 0
  ) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 20)
    bytes[0] = 0x27
    bytes[1] = 0x80
    bytes[2] = code
    bytes[3] = UInt8(features & 0xFF)
    bytes[11] = UInt8(features >> 8)
    for (index, place) in [4, 5, 6, 8, 9, 10].enumerated() {
      bytes[place] = UInt8(truncatingIfNeeded: lba >> (8 * UInt64(index)))
    }
    bytes[7] = device
    bytes.storeLE(count, at: 12)
    return bytes
  }

  /// Puts a command into a slot.
  ///
  /// - Parameter regions: where its data is.
  func place(
    _ fis: [UInt8], packet: [UInt8] = [], regions: [(UInt64, Int)] = [(TestAdapter.data, 1 << 16)],
    port: Int = 0, slot: Int = 0
  ) throws {
    let table = Self.tables + UInt64(port) << 16 + UInt64(slot) << 10
    try memory.write(fis, at: GPA(table))
    try memory.write(
      packet + [UInt8](repeating: 0, count: 16 - packet.count), at: GPA(table + 0x40))
    for (index, (start, byteCount)) in regions.enumerated() {
      let entry = table + 0x80 + 16 * UInt64(index)
      try memory.store(start, at: GPA(entry))
      try memory.store(UInt32(byteCount - 1), at: GPA(entry + 12))
    }
    let header = Self.lists + UInt64(port) << 12 + 32 * UInt64(slot)
    try memory.store(UInt32(regions.count) << 16 | 5, at: GPA(header))
    try memory.store(UInt32(0xEEEE_EEEE), at: GPA(header + 4))
    try memory.store(table, at: GPA(header + 8))
  }

  func issue(port: Int = 0, slots: UInt32 = 1) {
    write(port, AHCIPort.Register.issue, UInt64(slots))
  }

  /// What a command came to.
  struct Reply: Equatable {
    var status: UInt8
    var error: UInt8
    var interrupts: UInt32
    var byteCount: UInt32
  }

  /// Carries out a command, and takes back its interrupt; after a failure the list is started
  /// again.
  func run(
    _ fis: [UInt8], packet: [UInt8] = [], regions: [(UInt64, Int)] = [(TestAdapter.data, 1 << 16)],
    port: Int = 0
  ) throws -> Reply {
    try place(fis, packet: packet, regions: regions, port: port)
    issue(port: port)
    try waitUntil { read(port, AHCIPort.Register.interruptStatus) != 0 }
    let interrupts = read(port, AHCIPort.Register.interruptStatus)
    let taskFile = read(port, AHCIPort.Register.taskFile)
    write(port, AHCIPort.Register.interruptStatus, interrupts)
    if interrupts & 0x6800_0000 != 0 {
      try restart(port)
    } else {
      #expect(read(port, AHCIPort.Register.issue) == 0)
    }
    return Reply(
      status: UInt8(taskFile & 0xFF), error: UInt8(taskFile >> 8 & 0xFF),
      interrupts: UInt32(interrupts),
      byteCount: try memory.load(at: GPA(Self.lists + UInt64(port) << 12 + 4)))
  }

  /// The bytes of a FIS that was received: 0x20 PIO Setup, 0x40 D2H.
  func receivedFIS(_ offset: UInt64, port: Int = 0) throws -> [UInt8] {
    try memory.read(at: GPA(Self.received + UInt64(port) << 12 + offset), byteCount: 20)
  }

  func bytes(_ byteCount: Int, at address: UInt64 = TestAdapter.data) throws -> [UInt8] {
    try memory.read(at: GPA(address), byteCount: byteCount)
  }
}
