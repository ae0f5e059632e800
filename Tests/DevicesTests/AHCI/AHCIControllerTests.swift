import Bytes
import DeviceKit
import GuestMemory
import TestSupport
import Testing
import ZeroTracker

@testable import Devices

/// Registers, lists and interrupts of the adapter, with a CD drive and a disk.
struct AHCIControllerTests {
  private static let sectors = pattern(512 << 11, seed: 7)

  private static func drive(_ store: (any BlockStore)? = nil) -> AHCIController.Port {
    .opticalDrive(OpticalDrive(medium: store ?? FaultyStore(sectors), serial: "CD-1"))
  }

  private static func disk(_ store: (any BlockStore)? = nil) -> AHCIController.Port {
    .disk(store ?? FaultyStore(sectors), serial: "D-1")
  }

  private typealias Register = AHCIPort.Register

  @Test func registersAfterPowerOn() throws {
    let adapter = try TestAdapter([Self.drive(), Self.disk()], starts: false)
    for (offset, value): (UInt64, UInt64) in [
      (0x00, 0x8114_7F01), (0x04, 0x8000_0000), (0x08, 0), (0x0C, 3), (0x10, 0x0001_0300),
      (0x24, 0),
      (0x28, 0), (0x118, 0), (0x120, 0x0100), (0x124, 0xEB14_0101), (0x128, 0x113), (0x12C, 0),
      (0x130, 0), (0x134, 0), (0x138, 0), (0x1A0, 0x0150), (0x1A4, 0x0000_0101), (0x200, 0),
      (0xFFC, 0),
    ] { #expect(adapter.read(offset) == value, "0x\(String(offset, radix: 16))") }
    // What can be written, what of it stays; then reset.
    for (offset, value): (UInt64, UInt64) in [
      (0x100, 0xFFFF_FC00), (0x104, 0xFFFF_FFFF), (0x108, 0xFFFF_FF00), (0x10C, 0xFFFF_FFFF),
      (0x114, 0xFDC0_00FF), (0x12C, 0xFFF),
    ] {
      adapter.write(offset, 0xFFFF_FFFF)
      #expect(adapter.read(offset) == value, "0x\(String(offset, radix: 16))")
    }
    adapter.write(0x100, 0x1_2345_6789_ABCD, width: 8)
    #expect(adapter.read(0x100, width: 8) == 0x1_2345_6789_A800)
    #expect(adapter.read(0x102, width: 2) == 0x6789)
    adapter.write(0x100, 0, width: 1)
    #expect(adapter.read(0x100) == 0x6789_A800)
    adapter.write(0x04, 1)
    #expect(adapter.read(0x04) == 0x8000_0000)
    #expect(adapter.read(0x100, width: 8) == 0)
  }

  @Test func identifyIsPIOAndHasItsFIS() throws {
    let adapter = try TestAdapter([Self.drive(), Self.disk()])
    #expect(
      try adapter.run(TestAdapter.fis(0xA1))
        == .init(status: 0x50, error: 0, interrupts: 2, byteCount: 512))
    var bytes = try adapter.bytes(512)
    #expect(bytes.loadLE(at: 0, as: UInt16.self) == 0x85C0)
    #expect(Array(bytes[20..<28]) == Array("DC1-    ".utf8))
    let setup = try adapter.receivedFIS(0x20)
    #expect(setup[0] == 0x5F && setup[2] == 0x58 && setup[15] == 0x50)
    #expect(setup.loadLE(at: 16, as: UInt16.self) == 512)
    #expect(
      try adapter.run(TestAdapter.fis(0xEC), port: 1)
        == .init(status: 0x50, error: 0, interrupts: 2, byteCount: 512))
    bytes = try adapter.bytes(512)
    #expect(bytes.loadLE(at: 2 * 100, as: UInt64.self) == 2048)
    // The drive says what it is by failing.
    #expect(
      try adapter.run(TestAdapter.fis(0xEC))
        == .init(status: 0x51, error: 4, interrupts: 0x4000_0001, byteCount: 0))
    #expect(try adapter.receivedFIS(0x40)[5...6] == [0x14, 0xEB])
  }

  @Test("READ(10) by PIO, as OVMF does, and by DMA, as Linux does", arguments: [false, true])
  func packets(isDMA: Bool) throws {
    let adapter = try TestAdapter([Self.drive()])
    let fis = TestAdapter.fis(0xA0, features: isDMA ? 1 : 0, lba: 0xFFFE << 8)
    let regions: [(UInt64, Int)] = [(TestAdapter.data, 2), (0x12_0000, 4094), (0x13_0000, 1 << 16)]
    #expect(
      try adapter.run(fis, packet: [0x28, 0, 0, 0, 0, 3, 0, 0, 4], regions: regions)
        == .init(status: 0x50, error: 0, interrupts: isDMA ? 1 : 3, byteCount: 8192))
    let bytes =
      try adapter.bytes(2) + adapter.bytes(4094, at: 0x12_0000) + adapter.bytes(4096, at: 0x13_0000)
    #expect(bytes == Array(Self.sectors[6144..<14_336]))
    #expect(try adapter.receivedFIS(0x40)[0...3] == [0x34, 0x40, 0x50, 0])
    // No more than there is room for.
    #expect(
      try adapter.run(fis, packet: [0x28, 0, 0, 0, 0, 3, 0, 0, 4], regions: [(0x14_0000, 1024)])
        == .init(
          status: 0x50, error: 0, interrupts: isDMA ? 0x0100_0001 : 0x0100_0003, byteCount: 1024))
    #expect(try adapter.bytes(1026, at: 0x14_0000) == Array(Self.sectors[6144..<7168]) + [0, 0])
  }

  @Test("another medium, as a driver finds it: an event, attention once, its bytes")
  func changeOfMedium() throws {
    let next = pattern(512 << 11, seed: 8)
    let drive = OpticalDrive(medium: FaultyStore(Self.sectors), serial: "CD-1")
    let adapter = try TestAdapter([.opticalDrive(drive)])
    let fis = TestAdapter.fis(0xA0, features: 1, lba: 0xFFFE << 8)
    func event() throws -> [UInt8] {
      #expect(
        try adapter.run(fis, packet: [0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8]).byteCount == 8)
      return try adapter.bytes(8)
    }
    func read() throws -> TestAdapter.Reply {
      try adapter.run(fis, packet: [0x28, 0, 0, 0, 0, 3, 0, 0, 1])
    }
    #expect(try read().status == 0x50)
    #expect(try adapter.bytes(2048) == Array(Self.sectors[6144..<8192]))
    #expect(try adapter.run(fis, packet: [0x1E, 0, 0, 0, 1]).status == 0x50)
    #expect(!drive.requestChange(to: FaultyStore(next)))
    // The user wants to eject, and the old medium is in until the guest does.
    #expect(try event() == [0, 6, 4, 0x10, 1, 2, 0, 0])
    #expect(try read().status == 0x50)
    #expect(try adapter.bytes(2048) == Array(Self.sectors[6144..<8192]))
    #expect(try adapter.run(fis, packet: [0x1E]).status == 0x50)
    #expect(try adapter.run(fis, packet: [0x1B, 0, 0, 0, 2]).status == 0x50)
    #expect(try event() == [0, 6, 4, 0x10, 2, 2, 0, 0])
    #expect(
      try read()
        == .init(status: 0x51, error: 0x60, interrupts: 0x4000_0001, byteCount: 0))
    #expect(try adapter.run(fis, packet: [0x03, 0, 0, 0, 18]).status == 0x50)
    #expect(try adapter.bytes(18) == SCSISense.mediumChanged.bytes)
    #expect(try read().status == 0x50)
    #expect(try adapter.bytes(2048) == Array(next[6144..<8192]))
  }

  @Test("what is read, and what is answered, is touched before it is there")
  func touches() throws {
    let adapter = try TestAdapter([Self.drive()])
    func isTouched(_ address: UInt64) -> Bool {
      let page = PageRange(start: GPA(address).page, pageCount: 1)
      return adapter.memory.tracker.snapshot().counts(in: page).touched == 1
    }
    #expect(!isTouched(0x20_0000))
    _ = try adapter.run(
      TestAdapter.fis(0xA0, features: 1), packet: [0x28, 0, 0, 0, 0, 0, 0, 0, 1],
      regions: [(0x20_0000, 2048)])
    for address in [0x20_0000, TestAdapter.received, TestAdapter.lists] {
      #expect(isTouched(address))
    }
  }

  @Test func errorsHaltUntilTheListIsStartedAgain() throws {
    let store = FaultyStore(Self.sectors)
    let adapter = try TestAdapter([Self.drive(store)])
    let packet = TestAdapter.fis(0xA0, features: 1)
    try adapter.place(packet, packet: [0x28, 0, 0, 0, 0xFF, 0, 0, 0, 1], slot: 3)
    try adapter.place(packet, packet: [0x00], slot: 4)
    adapter.issue(slots: 0x18)
    try waitUntil { adapter.read(0, Register.interruptStatus) == 0x4000_0001 }
    #expect(adapter.read(0, Register.taskFile) == 0x5451)
    #expect(adapter.read(0, Register.issue) == 0x18)
    #expect(adapter.read(0, Register.command) & 0x1F00 == 0x300)
    #expect(adapter.line.isAsserted)
    try adapter.restart(0)
    #expect(adapter.read(0, Register.issue) == 0)
    #expect(!adapter.line.isAsserted)
    #expect(
      try adapter.run(packet, packet: [0x03, 0, 0, 0, 18])
        == .init(status: 0x50, error: 0, interrupts: 1, byteCount: 18))
    #expect(try adapter.bytes(18)[12] == 0x21)
    store.fail(.read, .host(5))
    #expect(
      try adapter.run(packet, packet: [0x28, 0, 0, 0, 0, 0, 0, 0, 1])
        == .init(status: 0x51, error: 0x30, interrupts: 0x4000_0001, byteCount: 2048))
  }

  private struct Hostile: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let interrupts: UInt64
    let spoil: @Sendable (TestAdapter) throws -> Void

    init(
      _ name: String, _ interrupts: UInt64,
      _ spoil: @escaping @Sendable (TestAdapter) throws -> Void
    ) {
      testDescription = name
      self.interrupts = interrupts
      self.spoil = spoil
    }
  }

  /// Commands that the adapter cannot take, and what it interrupts with.
  private static let hostileCases = [
    Hostile("list", 0x2000_0000) { $0.write(0x104, 1) },
    Hostile("list at the end of all", 0x2000_0000) { $0.write(0x100, .max, width: 8) },
    Hostile("table", 0x2000_0000) {
      try $0.memory.store(UInt64.max, at: GPA(TestAdapter.lists + 8))
    },
    Hostile("regions past RAM", 0x2000_0000) {
      try $0.memory.write(TestAdapter.fis(0xA1), at: GPA(TestAdapter.ramByteCount - 0x80))
      try $0.memory.store(TestAdapter.ramByteCount - 0x80, at: GPA(TestAdapter.lists + 8))
    },
    Hostile("a region", 0x2000_0000) {
      try $0.memory.store(UInt64.max, at: GPA(TestAdapter.tables + 0x80))
    },
    Hostile("a region of what is read from the medium", 0x2000_0000) {
      try $0.place(
        TestAdapter.fis(0xA0, features: 1), packet: [0x28, 0, 0, 0, 0, 0, 0, 0, 1],
        regions: [(TestAdapter.data, 1024), (TestAdapter.ramByteCount - 1022, 1024)])
    },
    Hostile("FIS", 0x0800_0000) { try $0.memory.store(UInt8(0x34), at: GPA(TestAdapter.tables)) },
  ]

  @Test("lists, tables and regions that are no RAM, FISes that are none", arguments: hostileCases)
  private func hostile(_ hostile: Hostile) throws {
    let adapter = try TestAdapter([Self.drive()])
    try adapter.place(TestAdapter.fis(0xA1))
    try hostile.spoil(adapter)
    adapter.issue()
    try waitUntil { adapter.read(0, Register.interruptStatus) != 0 }
    #expect(adapter.read(0, Register.interruptStatus) == hostile.interrupts)
    #expect(adapter.read(0, Register.issue) == 1)
    // It recovers.
    adapter.write(0, Register.command, 0)
    adapter.start(0)
    adapter.write(0, Register.interruptStatus, .max)
    adapter.write(0x104, 0)
    #expect(try adapter.run(TestAdapter.fis(0xA1)).byteCount == 512)
  }

  @Test("65,535 regions, of two bytes each and all the same, take what they hold")
  func manyRegions() throws {
    let adapter = try TestAdapter([Self.drive()])
    try adapter.place(TestAdapter.fis(0xA0, features: 1), packet: [0xA8, 0, 0, 0, 0, 0, 0, 0, 2])
    try adapter.memory.store(UInt32(0xFFFF_0005), at: GPA(TestAdapter.lists))
    try adapter.memory.fill(at: GPA(TestAdapter.tables + 0x80), byteCount: 1 << 20, with: 0)
    adapter.issue()
    try waitUntil { adapter.read(0, Register.interruptStatus) != 0 }
    #expect(adapter.read(0, Register.interruptStatus) == 0x0100_0001)
    #expect(try adapter.memory.load(at: GPA(TestAdapter.lists + 4), as: UInt32.self) == 131_070)
    #expect(try adapter.bytes(2, at: 0) == Array(Self.sectors[131_068..<131_070]))
  }

  @Test func whatAPortIsDoing() throws {
    let adapter = try TestAdapter([Self.drive(), Self.disk()])
    let idle = try #require(adapter.controller.activity)
    #expect(
      idle.map(\.device) == [
        .opticalDrive(
          OpticalDriveActivity(
            hasMedium: true, isOpen: false, isLocked: false, isChangeAwaited: false)), .disk,
      ])
    #expect(idle.allSatisfy { $0.isStarted && !$0.isHalted && !$0.isBusy && $0.issuedCount == 0 })
    // Locks the drive; fails on the disk.
    _ = try adapter.run(TestAdapter.fis(0xA0), packet: [0x1E, 0, 0, 0, 1])
    try adapter.place(TestAdapter.fis(0x00), port: 1, slot: 3)
    try adapter.place(TestAdapter.fis(0x00), port: 1, slot: 4)
    adapter.issue(port: 1, slots: 0x18)
    try waitUntil { adapter.read(1, Register.interruptStatus) != 0 }
    let after = try #require(adapter.controller.activity)
    guard case .opticalDrive(let drive) = after[0].device else {
      Issue.record("no drive")
      return
    }
    #expect(drive.isLocked)
    #expect(after[1].isHalted && after[1].isInterrupting && after[1].issuedCount == 2)
  }

  @Test func softwareResetSendsTheSignature() throws {
    let adapter = try TestAdapter([Self.drive()])
    var fis = TestAdapter.fis(0)
    for isReset in [true, false] {
      fis[1] = 0
      fis[15] = isReset ? 4 : 0
      try adapter.place(fis, regions: [])
      adapter.issue()
      try waitUntil { adapter.read(0, Register.issue) == 0 }
      #expect(adapter.read(0, Register.taskFile) & 0x80 == (isReset ? 0x80 : 0))
    }
    #expect(
      try adapter.receivedFIS(0x40).prefix(14) == [
        0x34, 0, 0, 1, 1, 0x14, 0xEB, 0, 0, 0, 0, 0, 1, 0,
      ])
    #expect(adapter.read(0, Register.interruptStatus) == 0)
  }

  @Test func linkResetIsAChangeOfConnection() throws {
    let adapter = try TestAdapter([Self.disk()])
    adapter.write(0, Register.command, 0x16)
    adapter.write(0, Register.sataControl, 0x301)
    #expect(adapter.read(0, Register.sataStatus) == 0)
    adapter.write(0, Register.sataControl, 0x300)
    #expect(adapter.read(0, Register.sataStatus) == 0x113)
    #expect(adapter.read(0, Register.sataError) == 0x0401_0000)
    #expect(adapter.read(0, Register.interruptStatus) == 0x0040_0040)
    #expect(adapter.line.isAsserted)
    // They follow the error register, and are cleared there.
    adapter.write(0, Register.interruptStatus, .max)
    #expect(adapter.read(0, Register.interruptStatus) == 0x0040_0040)
    adapter.write(0, Register.sataError, .max)
    #expect(adapter.read(0, Register.interruptStatus) == 0)
    #expect(!adapter.line.isAsserted)
    #expect(try adapter.receivedFIS(0x40).prefix(7) == [0x34, 0, 0x50, 1, 1, 0, 0])
  }

  @Test func linkPower() throws {
    let adapter = try TestAdapter([Self.drive()])
    // What *ICC* asks for, and what *SSTS* tells.
    for (command, status): (UInt64, UInt64) in [
      (0x2000_0017, 0x213), (0x6000_0017, 0x613), (0x0000_0017, 0x613), (0x1000_0017, 0x113),
      (0x8000_0017, 0x113),
    ] {
      adapter.write(0, Register.command, command)
      #expect(adapter.read(0, Register.sataStatus) == status)
      #expect(adapter.read(0, Register.command) >> 28 == 0)
    }
    adapter.write(0, Register.sataControl, 0x300)
    adapter.write(0, Register.command, 0x6000_0017)
    #expect(adapter.read(0, Register.sataStatus) == 0x113)
    // A command wakes it.
    adapter.write(0, Register.sataControl, 0)
    adapter.write(0, Register.command, 0x6000_0017)
    #expect(try adapter.run(TestAdapter.fis(0xE5)).status == 0x50)
    #expect(adapter.read(0, Register.sataStatus) == 0x113)
  }

  @Test func messagesComeAtEachEventAndWhenEnabled() throws {
    let adapter = try TestAdapter([Self.drive()], usesMSI: true)
    for _ in 0..<3 { _ = try adapter.run(TestAdapter.fis(0xE5)) }
    #expect(
      adapter.sink.messages
        == Array(repeating: MSIMessage(address: 0xFEE0_0000, data: 0x41), count: 3))
    // Two events, none of which the guest has cleared.
    try adapter.place(TestAdapter.fis(0xE5), slot: 0)
    try adapter.place(TestAdapter.fis(0xE5), slot: 1)
    adapter.issue(slots: 3)
    try waitUntil { adapter.sink.messages.count == 5 }
    // Off, another event, on again.
    adapter.write(0x04, 0)
    adapter.issue(slots: 1)
    try waitUntil { adapter.read(0, Register.issue) == 0 }
    #expect(adapter.sink.messages.count == 5)
    adapter.write(0x04, 2)
    #expect(adapter.sink.messages.count == 6)
    #expect(!adapter.line.isAsserted)
  }

  @Test("stopping the list waits for a command that is with the disk, and drops its answer")
  func stopWhileBusy() throws {
    let store = FaultyStore(Self.sectors)
    let adapter = try TestAdapter([Self.disk(store)])
    store.stick(true)
    try adapter.place(TestAdapter.fis(0x25, lba: 4, count: 1, device: 0x40))
    adapter.issue()
    store.waitForStuck(1)
    #expect(adapter.read(0, Register.taskFile) & 0x80 != 0)
    #expect(adapter.controller.hasTransactionsPending)
    adapter.write(0, Register.command, 0x16)
    #expect(adapter.read(0, Register.command) & 0xC000 == 0xC000)
    #expect(adapter.read(0, Register.issue) == 0)
    store.stick(false)
    try waitUntil { adapter.read(0, Register.command) & 0x8000 == 0 }
    #expect(adapter.read(0, Register.interruptStatus) == 0)
    #expect(adapter.read(0, Register.taskFile) & 0x80 == 0)
    #expect(try adapter.memory.load(at: GPA(TestAdapter.lists + 4), as: UInt32.self) == 0xEEEE_EEEE)
    adapter.write(0, Register.command, 0x17)
    #expect(try adapter.run(TestAdapter.fis(0xEC)).byteCount == 512)
  }

  @Test func hostResetWhileBusy() throws {
    let store = FaultyStore(Self.sectors)
    let adapter = try TestAdapter([Self.disk(store), Self.drive()])
    store.stick(true)
    try adapter.place(TestAdapter.fis(0x25, count: 1, device: 0x40))
    adapter.issue()
    store.waitForStuck(1)
    adapter.write(0x04, 0x8000_0001)
    #expect(adapter.read(0x04) == 0x8000_0001)
    store.stick(false)
    try waitUntil { adapter.read(0x04) == 0x8000_0000 }
    #expect(adapter.read(0, Register.commandList) == 0)
    adapter.write(0x04, 2)
    adapter.start(0)
    #expect(try adapter.run(TestAdapter.fis(0xEC)).byteCount == 512)
  }

  @Test func withoutBusMasterCommandsWait() throws {
    let adapter = try TestAdapter([Self.drive()])
    adapter.configure(0x04, 2, 2)
    try adapter.place(TestAdapter.fis(0xA1))
    adapter.issue()
    #expect(adapter.read(0, Register.issue) == 1)
    adapter.configure(0x04, 2, 6)
    try waitUntil { adapter.read(0, Register.issue) == 0 }
    adapter.controller.stop()
    adapter.issue()
    #expect(adapter.read(0, Register.issue) == 1)
    // Everything as after power-on.
    adapter.controller.reset()
    #expect(adapter.read(0x04) == 0x8000_0000)
  }

  @Test("slots are served in turn, and both ports side by side")
  func order() throws {
    let store = FaultyStore(Self.sectors)
    let adapter = try TestAdapter([Self.disk(store), Self.drive()])
    store.stick(true)
    for slot in [0, 5, 31] {
      try adapter.place(
        TestAdapter.fis(0x25, lba: UInt64(slot), count: 1, device: 0x40),
        regions: [(TestAdapter.data + UInt64(slot) << 9, 512)], slot: slot)
    }
    adapter.issue(slots: 1 << 31 | 1 << 5 | 1)
    store.waitForStuck(1)
    #expect(
      try adapter.run(TestAdapter.fis(0xA1), regions: [(0x18_0000, 512)], port: 1).byteCount == 512)
    store.stick(false)
    try waitUntil { adapter.read(0, Register.issue) == 0 }
    for slot in [0, 5, 31] {
      #expect(
        try adapter.bytes(512, at: TestAdapter.data + UInt64(slot) << 9)
          == Array(Self.sectors[(slot << 9)..<((slot + 1) << 9)]))
    }
    #expect(store.callCount(.read) == 3)
  }
}
