import HostSystem
import Sandbox
import TestSupport
import Testing

@testable import DeviceKit
@testable import Devices

/// The two bridges' base registers: what firmware writes is where things are.
@Suite struct BridgeTests {
  private let host = HostBridge()
  private let clock = ManualClock()
  private let power: PowerManagement
  private let lines = ISABridge.systemControlInterrupts.map { _ in RecordingLine() }
  private let isa: ISABridge

  init() {
    let systemControl = SelectableLine(lines)
    power = PowerManagement(
      timer: PMTimer { [clock] in UInt64(clock.nanoseconds) }, line: systemControl
    ) {}
    isa = ISABridge(power: power, systemControl: systemControl)
  }

  /// As a guest does, which writes and then has the function look.
  private func write(_ function: any PCIFunction, _ offset: Int, width: Int, _ value: UInt64) {
    function.configuration.write(offset: offset, width: width, value: value)
    function.configurationChanged()
  }

  @Test("identities, and nothing decoded after power-on")
  func powerOn() {
    #expect(host.configuration.read(offset: 0, width: 4) == 0x29C0_8086)
    #expect(host.configuration.read(offset: 8, width: 4) >> 8 == 0x06_0000)
    #expect(host.configuration.read(offset: 0x60, width: 8) == 0)
    #expect(host.configurationRange == nil)
    #expect(isa.configuration.read(offset: 0, width: 4) == 0x2918_8086)
    #expect(isa.configuration.read(offset: 8, width: 4) >> 8 == 0x06_0100)
    #expect(isa.configuration.read(offset: 0x40, width: 4) == 1)
    #expect(isa.configuration.read(offset: 0x44, width: 1) == 0)
    #expect(isa.read(at: 0x608, width: 4) == nil && isa.read(at: 0, width: 4) == nil)
    #expect(isa.rootComplexBase == nil)
  }

  struct Express: CustomTestStringConvertible, Sendable {
    let written: UInt64
    let read: UInt64
    let range: PCIExpressRange?
    var testDescription: String { String(written, radix: 16) }

    init(_ written: UInt64, read: UInt64? = nil, _ start: UInt64? = nil, buses: Int = 256) {
      self.written = written
      self.read = read ?? written
      range = start.map { PCIExpressRange(start: $0, busCount: buses) }
    }
  }

  @Test(
    "PCIEXBAR: base, length, enable; other bits and addresses that the length takes away read 0",
    arguments: [
      Express(0xB000_0001, 0xB000_0000), Express(0xE000_0001, 0xE000_0000),
      Express(0xE000_0000), Express(0xE000_0006), Express(0xE000_0007),
      Express(0xE800_0003, 0xE800_0000, buses: 128), Express(0xEC00_0005, 0xEC00_0000, buses: 64),
      Express(0xFC00_0001, read: 0xF000_0001, 0xF000_0000),
      Express(0xFC00_0003, read: 0xF800_0003, 0xF800_0000, buses: 128),
      Express(0xFC00_0007, read: 0xF000_0007),
      Express(0xF_F000_0001, 0xF_F000_0000),
      Express(0xF_FC00_0005, 0xF_FC00_0000, buses: 64),
      // Over RAM, the local APICs, the reset vector, from 0: the bridge decodes it, and what exits
      // is answered.
      Express(1, 0), Express(0x1000_0001, 0x1000_0000), Express(0xF000_0001, 0xF000_0000),
      Express(.max, read: 0xF_F000_0007),
      Express(0xFFFF_FFF0_E3FF_FFF9, read: 0xE000_0001, 0xE000_0000),
    ])
  func express(row: Express) {
    write(host, 0x60, width: 8, row.written)
    #expect(host.configuration.read(offset: 0x60, width: 8) == row.read)
    #expect(host.configurationRange == row.range)
    guard let range = row.range else { return }
    #expect(host.configurationOffset(of: range.start) == 0)
    #expect(host.configurationOffset(of: range.addresses.upperBound - 1) == range.byteCount - 1)
    #expect(host.configurationOffset(of: range.addresses.upperBound) == nil)
    #expect(range.start == 0 || host.configurationOffset(of: range.start - 1) == nil)
    #expect(host.configurationOffset(of: .max) == nil)
  }

  @Test("what EDK2 writes: off, the high half, the low half with the enable bit")
  func edk2() {
    host.placeConfiguration(at: 0xB000_0000)
    write(host, 0x60, width: 4, 0)
    #expect(host.configurationRange == nil)
    write(host, 0x64, width: 4, 0)
    write(host, 0x60, width: 4, 0xE000_0001)
    #expect(host.configurationRange == PCIExpressRange(start: 0xE000_0000, busCount: 256))
    write(host, 0x63, width: 1, 0xD0)
    #expect(host.configurationRange == PCIExpressRange(start: 0xD000_0000, busCount: 256))
    write(host, 0x64, width: 4, 0xFFFF_FFF3)
    #expect(host.configurationRange == PCIExpressRange(start: 0x3_D000_0000, busCount: 256))
    host.reset()
    #expect(host.configurationRange == nil)
  }

  @Test("PMBASE places the ACPI ports, ACPI_CNTL turns them on")
  func ports() {
    clock.advance(by: 1_000_000)
    let timer = power.read(offset: 8, width: 4)
    #expect(timer != 0)
    write(isa, 0x40, width: 4, 0x0601)
    #expect(isa.read(at: 0x608, width: 4) == nil, "not turned on")
    write(isa, 0x44, width: 1, 0x80)
    #expect(isa.read(at: 0x608, width: 4) == timer)
    #expect(isa.read(at: 0x67F, width: 1) == 0)
    #expect(isa.read(at: 0x5FF, width: 4) == nil && isa.read(at: 0x680, width: 1) == nil)
    #expect(isa.write(at: 0x604, width: 2, value: 1))
    #expect(power.read(offset: 4, width: 2) == 1)
    write(isa, 0x40, width: 2, 0xB07F)
    #expect(isa.configuration.read(offset: 0x40, width: 4) == 0xB001)
    #expect(isa.read(at: 0x608, width: 4) == nil && isa.read(at: 0xB008, width: 4) == timer)
    #expect(!isa.write(at: 0x604, width: 2, value: 0) && power.read(offset: 4, width: 2) == 1)
    #expect(isa.powerManagementBase == 0xB000)
    write(isa, 0x44, width: 1, 0)
    #expect(isa.read(at: 0xB008, width: 4) == nil)
    #expect(isa.powerManagementBase == 0xB000)
    isa.reset()
    #expect(isa.powerManagementBase == 0 && isa.read(at: 8, width: 4) == nil)
  }

  @Test("the ACPI ports at the ends of the port space", arguments: [0, 0xFF80] as [UInt16])
  func extremes(base: UInt16) {
    isa.placePowerManagement(at: base)
    #expect(isa.powerManagementBase == base)
    #expect(isa.read(at: UInt64(base) + 4, width: 2) == 0)
    #expect(isa.read(at: UInt64(base) + 0x7F, width: 1) == 0)
    #expect(isa.read(at: UInt64(base) + 0x80, width: 1) == nil)
    #expect(isa.read(at: .max, width: 1) == nil)
  }

  @Test("the SCI goes where ACPI_CNTL leads it, and takes its level along", arguments: 0..<8)
  func systemControl(value: Int) {
    let expected: [UInt8] = [9, 10, 11, 9, 20, 21, 22, 23]
    isa.placePowerManagement(at: 0x600)
    power.write(offset: 2, width: 2, value: 0x100)
    power.pressPowerButton()
    write(isa, 0x44, width: 1, 0x80 | UInt64(value))
    #expect(isa.systemControlInterrupt == expected[value])
    for (line, interrupt) in zip(lines, ISABridge.systemControlInterrupts) {
      #expect(line.isAsserted == (interrupt == expected[value]), "\(interrupt)")
    }
    power.write(offset: 0, width: 2, value: 0x100)
    #expect(lines.allSatisfy { !$0.isAsserted && $0.idleCallCount == 0 })
    isa.reset()
    #expect(isa.systemControlInterrupt == 9)
  }

  struct Stored: CustomTestStringConvertible, Sendable {
    let name: String
    let offset: Int
    let width: Int
    let initial: UInt64
    let afterOnes: UInt64
    var testDescription: String { name }
  }

  @Test(
    "registers of the host bridge that only store",
    arguments: [
      Stored(name: "TSEG, QEMU's", offset: 0x50, width: 2, initial: 0, afterOnes: 0xFFFF),
      Stored(name: "GGC", offset: 0x52, width: 2, initial: 0, afterOnes: 0xFFFF),
      Stored(
        name: "PAM", offset: 0x90, width: 8, initial: 0, afterOnes: 0x0033_3333_3333_3330),
      Stored(name: "SMRAM", offset: 0x9D, width: 1, initial: 2, afterOnes: 0x7A),
      Stored(name: "ESMRAMC", offset: 0x9E, width: 1, initial: 0x38, afterOnes: 0xFF),
      Stored(name: "QEMU's SMBASE", offset: 0x9C, width: 1, initial: 0, afterOnes: 0),
      Stored(name: "GBSM", offset: 0xA4, width: 4, initial: 0, afterOnes: 0xFFF0_0000),
      Stored(name: "BGSM", offset: 0xA8, width: 4, initial: 0, afterOnes: 0xFFF0_0000),
      Stored(name: "TSEGMB", offset: 0xAC, width: 4, initial: 0, afterOnes: 0xFFF0_0000),
      Stored(name: "TOLUD", offset: 0xB0, width: 2, initial: 0, afterOnes: 0xFFF0),
    ])
  func hostBridgeStores(row: Stored) {
    stores(row, host)
  }

  @Test(
    "registers of the ISA bridge that only store",
    arguments: [
      Stored(
        name: "PIRQA to D", offset: 0x60, width: 4, initial: 0x8080_8080, afterOnes: 0x8F8F_8F8F),
      Stored(
        name: "PIRQE to H", offset: 0x68, width: 4, initial: 0x8080_8080, afterOnes: 0x8F8F_8F8F),
      Stored(name: "GEN_PMCON_1", offset: 0xA0, width: 2, initial: 0, afterOnes: 0xFFFF),
      Stored(name: "RCBA", offset: 0xF0, width: 4, initial: 0, afterOnes: 0xFFFF_C001),
    ])
  func isaBridgeStores(row: Stored) {
    stores(row, isa)
  }

  private func stores(_ row: Stored, _ function: any PCIFunction) {
    let registers = function.configuration
    #expect(registers.read(offset: row.offset, width: row.width) == row.initial)
    write(function, row.offset, width: row.width, .max)
    #expect(registers.read(offset: row.offset, width: row.width) == row.afterOnes)
    function.reset()
    #expect(registers.read(offset: row.offset, width: row.width) == row.initial)
  }

  @Test("RCBA, as the tables need it")
  func rootComplex() {
    write(isa, 0xF0, width: 4, 0xFED1_C001)
    #expect(isa.rootComplexBase == 0xFED1_C000)
    write(isa, 0xF0, width: 4, 0xFED1_C000)
    #expect(isa.rootComplexBase == nil)
  }

  @Test("no write of any width makes a bridge trap, or decode outside of its registers")
  func anything() {
    var generator = SeededGenerator(seed: 0x60)
    for _ in 0..<20_000 {
      let width = [1, 2, 4, 8].randomElement(using: &generator) ?? 1
      write(host, Int.random(in: 0x58..<0x70, using: &generator), width: width, generator.next())
      write(isa, Int.random(in: 0x38..<0x50, using: &generator), width: width, generator.next())
      if let range = host.configurationRange {
        #expect(range.start % range.byteCount == 0 && range.addresses.upperBound <= 1 << 36)
      }
      #expect(isa.powerManagementBase % 0x80 == 0, "seed 0x60")
    }
  }

  @Test("vCPUs that program a bridge at once leave what is decoded and what is read in agreement")
  func atOnce() {
    let bus = PCIHost([(HostBridge.address, host), (ISABridge.address, isa)])
    for round in 0..<200 {
      TestThreads.run(
        as: .vcpu,
        (0..<3).map { number in
          {
            let value = UInt64(round + number) & 7
            bus.writeConfiguration(
              HostBridge.address, offset: 0x60, width: 4, value: value << 28 | UInt64(number) & 1)
            bus.writeConfiguration(
              ISABridge.address, offset: 0x40, width: 4, value: value << 8)
            bus.writeConfiguration(
              ISABridge.address, offset: 0x44, width: 1, value: UInt64(number) << 7)
          }
        })
      let express = bus.readConfiguration(HostBridge.address, offset: 0x60, width: 4)
      #expect(host.configurationRange?.start == (express & 1 == 0 ? nil : express & ~1))
      let isOn = bus.readConfiguration(ISABridge.address, offset: 0x44, width: 1) != 0
      let base = bus.readConfiguration(ISABridge.address, offset: 0x40, width: 4) & ~1
      #expect((isa.read(at: base, width: 1) != nil) == isOn)
    }
  }
}
