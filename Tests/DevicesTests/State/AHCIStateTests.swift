import DeviceKit
import GuestMemory
import TestSupport
import Testing

@testable import Devices

/// An adapter with a disk and an optical drive, saved and restored.
@Suite(.timeLimit(.minutes(10))) struct AHCIStateTests {
  private typealias Register = AHCIPort.Register

  private static let ready: [UInt8] = [0x00]
  private static let lock: [UInt8] = [0x1E, 0, 0, 0, 1]
  private static let eject: [UInt8] = [0x1B, 0, 0, 0, 2]
  private static let sense: [UInt8] = [0x03, 0, 0, 0, 18]
  private static let packet = TestAdapter.fis(0xA0, lba: 0xFFFE << 8)
  private static let sectors = pattern(512 << 11, seed: 7)

  private let store = FaultyStore(sectors)

  private func ports(_ drive: OpticalDrive) -> [AHCIController.Port] {
    [.disk(store, serial: "D-1"), .opticalDrive(drive), .disk(store, serial: "D-2")]
  }

  private static func drive(_ medium: (any BlockStore)? = FaultyStore(sectors)) -> OpticalDrive {
    OpticalDrive(medium: medium, serial: "CD-1")
  }

  /// A locked drive with a sense of its last failure, an interrupt that was not taken, and a port
  /// that an error stopped.
  private func begin(_ drive: OpticalDrive, usesMSI: Bool = false) throws -> TestAdapter {
    let adapter = try TestAdapter(ports(drive), usesMSI: usesMSI)
    for number in 0..<3 as Range<UInt64> {
      #expect(try adapter.run(TestAdapter.fis(0x25, lba: number, count: 1)).status == 0x50)
    }
    #expect(try adapter.run(Self.packet, packet: Self.lock, port: 1).status == 0x50)
    #expect(try adapter.run(Self.packet, packet: Self.eject, port: 1).error == 0x54)
    try adapter.place(TestAdapter.fis(0x25, lba: 1 << 40, count: 1), port: 2, slot: 5)
    try adapter.place(TestAdapter.fis(0x25, lba: 1, count: 1), port: 2, slot: 6)
    adapter.issue(port: 2, slots: 3 << 5)
    try waitUntil { adapter.read(2, Register.interruptStatus) & 1 << 30 != 0 }
    return adapter
  }

  private static func registers(_ controller: AHCIController) -> [UInt64] {
    stride(from: UInt64(0), to: 0x300, by: 4).map { controller.readBAR(5, offset: $0, width: 4) }
  }

  @Test(
    "ports, their commands and interrupts, and the drive's lock and sense go on",
    arguments: [true, false])
  func moves(usesMSI: Bool) throws {
    let old = try begin(Self.drive(), usesMSI: usesMSI)
    try old.controller.pause()
    #expect(store.callCount(.flush) == 2)
    // A command that waits, as no thread takes any.
    try old.place(TestAdapter.fis(0x25, lba: 9, count: 2), slot: 3)
    old.issue(slots: 1 << 3)
    let new = TestAdapter(insteadOf: old, ports(Self.drive()), usesMSI: usesMSI)
    try StateHarness.move(old.controller, to: new.controller, registers: Self.registers) {
      #expect(new.sink.messages.isEmpty)
      #expect(usesMSI || new.line.isAsserted)
    }
    try waitUntil { new.read(0, Register.issue) == 0 }
    #expect(try new.bytes(1024) == Array(Self.sectors[(9 * 512)..<(11 * 512)]))
    if usesMSI { try waitUntil { new.sink.messages.count == 1 } }
    new.write(0, Register.interruptStatus, 0xFFFF_FFFF)
    for number in 0..<3 as Range<UInt64> {
      #expect(try new.run(TestAdapter.fis(0x25, lba: number, count: 1)).status == 0x50)
    }
    // What failed is told, and it is still locked.
    #expect(try new.run(Self.packet, packet: Self.sense, port: 1).status == 0x50)
    #expect(try new.bytes(18)[2] == 5 && new.bytes(18)[12] == 0x53)
    #expect(try new.run(Self.packet, packet: Self.eject, port: 1).error == 0x54)
    // The port that was stopped goes on when it is started again.
    #expect(new.read(2, Register.issue) == 3 << 5 && new.read(2, Register.taskFile) == 0x1051)
    try new.restart(2)
    #expect(new.read(2, Register.issue) == 0)
    #expect(try new.run(TestAdapter.fis(0x25, lba: 1, count: 1), port: 2).status == 0x50)
  }

  @Test(
    "another medium is found as one that was put in, the same is not",
    arguments: [(512 << 11, 0x50), (512 << 10, 0x51), (0, 0x51)] as [(Int, UInt8)])
  func medium(byteCount: Int, status: UInt8) throws {
    let old = try begin(Self.drive())
    #expect(try old.run(Self.packet, packet: Self.ready, port: 1).status == 0x50)
    try old.controller.pause()
    let bytes = try StateHarness.save(old.controller)
    old.controller.stop()
    let medium = byteCount == 0 ? nil : FaultyStore(pattern(byteCount, seed: 8))
    let new = TestAdapter(insteadOf: old, ports(Self.drive(medium)))
    try StateHarness.restore(bytes, into: new.controller)
    try new.controller.start()
    #expect(try new.run(Self.packet, packet: Self.ready, port: 1).status == status)
    let isThere = byteCount > 0
    #expect(
      try new.run(Self.packet, packet: Self.ready, port: 1).status == (isThere ? 0x50 : 0x51))
  }

  @Test("a change that waits for the guest counts as made")
  func awaitedChange() throws {
    let drive = Self.drive()
    let old = try begin(drive)
    #expect(try old.run(Self.packet, packet: Self.ready, port: 1).status == 0x50)
    #expect(!drive.requestChange(to: FaultyStore(Self.sectors)))
    try old.controller.pause()
    let bytes = try StateHarness.save(old.controller)
    let new = TestAdapter(insteadOf: old, ports(Self.drive()))
    try StateHarness.restore(bytes, into: new.controller)
    old.controller.stop()
    try new.controller.start()
    #expect(try new.run(Self.packet, packet: Self.ready, port: 1).error == 0x60)
  }

  @Test("damaged state is refused, or does no harm")
  func damage() throws {
    let old = try begin(Self.drive())
    try old.controller.pause()
    try old.place(TestAdapter.fis(0x25, lba: 9, count: 2), slot: 3)
    old.issue(slots: 1 << 3)
    let bytes = try StateHarness.save(old.controller)
    let context = PCIContext(memory: old.memory, messages: RecordingSink())
    let accepted = try StateHarness.damage(bytes) {
      AHCIController(ports: ports(Self.drive()), context: context)
    } drive: { controller, generator in
      controller.makeBusMaster()
      controller.engine.serveRestoredPorts()
      controller.engine.serveWaitingPorts()
      _ = Self.registers(controller)
      _ = controller.activity
      try old.place(Self.packet, packet: Self.sense, port: 1, slot: 1)
      for port in 0..<3 {
        let registers = TestAdapter.place(port, 0)
        let slots = UInt64.random(in: 0...0xFF, using: &generator)
        controller.writeBAR(5, offset: registers + Register.issue, width: 4, value: slots)
        controller.engine.serveWaitingPorts()
        for value: UInt64 in [0x16, 0x17, 0x1800_0017] {
          controller.writeBAR(5, offset: registers + Register.command, width: 4, value: value)
        }
        controller.writeBAR(5, offset: registers + Register.issue, width: 4, value: 3)
        controller.writeBAR(5, offset: registers + Register.sataControl, width: 4, value: 1)
        controller.writeBAR(5, offset: registers + Register.sataControl, width: 4, value: 0)
        controller.engine.serveWaitingPorts()
      }
    }
    #expect(accepted > 100, "too little of it is driven")
  }
}
