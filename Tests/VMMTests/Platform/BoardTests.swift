import Bytes
import GuestMemory
import Synchronization
import Testing

@testable import ACPI
@testable import DeviceKit
@testable import Devices
@testable import VMM

/// The bridges' registers and the tables that are made of them.
@Suite struct BoardTests {
  private let board: Board
  private let host: PCIHost

  init() {
    let systemControl = SelectableLine(
      ISABridge.systemControlInterrupts.map { _ in KVMInterruptLine(KVMInterrupts.Input { _ in }) })
    board = Board(
      power: PowerManagement(timer: PMTimer { 0 }, line: systemControl) {},
      systemControl: systemControl, vcpuCount: 64,
      legacyDevices: [.serialPort1, .ps2Controller, .realTimeClock, .firmwareConfiguration])
    host = PCIHost(board.functions)
  }

  private func write(_ address: PCIAddress, _ offset: Int, width: Int, _ value: UInt64) {
    host.writeConfiguration(address, offset: offset, width: width, value: value)
  }

  struct Row: CustomTestStringConvertible, Sendable {
    let register: UInt64
    let space: ACPIAddresses.ConfigurationSpace?
    let windows: [ClosedRange<UInt32>]
    var testDescription: String { String(register, radix: 16) }

    init(
      _ register: UInt64, _ start: UInt64?, lastBus: UInt8 = 255, _ windows: ClosedRange<UInt32>...
    ) {
      self.register = register
      space = start.map { ACPIAddresses.ConfigurationSpace(start: $0, lastBus: lastBus) }
      self.windows = windows
    }
  }

  @Test(
    "MCFG and the host bridge's windows follow PCIEXBAR, and never meet",
    arguments: [
      Row(0, nil, 0x8000_0000...0xFBFF_FFFF),
      Row(0xE000_0006, nil, 0x8000_0000...0xFBFF_FFFF),
      // EDK2 up to edk2-stable202302, and from edk2-stable202305 on.
      Row(0xB000_0001, 0xB000_0000, 0x8000_0000...0xAFFF_FFFF, 0xC000_0000...0xFBFF_FFFF),
      Row(0xE000_0001, 0xE000_0000, 0x8000_0000...0xDFFF_FFFF, 0xF000_0000...0xFBFF_FFFF),
      Row(
        0xE800_0003, 0xE800_0000, lastBus: 127, 0x8000_0000...0xE7FF_FFFF,
        0xF000_0000...0xFBFF_FFFF),
      Row(
        0xEC00_0005, 0xEC00_0000, lastBus: 63, 0x8000_0000...0xEBFF_FFFF,
        0xF000_0000...0xFBFF_FFFF),
      Row(0x8000_0001, 0x8000_0000, 0x9000_0000...0xFBFF_FFFF),
      // Over the hole's end and what lies there: over RAM, above 4 GiB.
      Row(0xF000_0001, 0xF000_0000, 0x8000_0000...0xEFFF_FFFF),
      Row(1, 0, 0x8000_0000...0xFBFF_FFFF),
      Row(0x7000_0001, 0x7000_0000, 0x8000_0000...0xFBFF_FFFF),
      Row(0x1_0000_0001, 0x1_0000_0000, 0x8000_0000...0xFBFF_FFFF),
      Row(0xF_FC00_0005, 0xF_FC00_0000, lastBus: 63, 0x8000_0000...0xFBFF_FFFF),
    ])
  func windows(row: Row) {
    write(HostBridge.address, 0x60, width: 8, row.register)
    let addresses = board.platform.addresses
    #expect(addresses.configurationSpace == row.space)
    #expect(addresses.pciMemoryWindows == row.windows)
  }

  @Test("FADT and the motherboard's resources follow PMBASE, ACPI_CNTL and RCBA")
  func powerManagement() {
    #expect(board.platform.addresses.rootComplexBase == nil)
    write(ISABridge.address, 0x40, width: 4, 0xFFFF_FFFF)
    write(ISABridge.address, 0x44, width: 1, 0xFF)
    write(ISABridge.address, 0xF0, width: 4, 0xFED1_C001)
    let addresses = board.platform.addresses
    #expect(
      addresses.powerManagement
        == ACPIAddresses.PowerManagement(
          eventPort: 0xFF80, controlPort: 0xFF84, timerPort: 0xFF88,
          generalEventPort: 0xFFA0, portCount: 128))
    #expect(addresses.systemControlInterrupt == 23)
    #expect(addresses.rootComplexBase == 0xFED1_C000)
  }

  @Test("without firmware the VMM programs what the memory map has")
  func direct() {
    board.setUp(host)
    let addresses = board.platform.addresses
    #expect(
      addresses.configurationSpace
        == ACPIAddresses.ConfigurationSpace(start: 0xB000_0000, lastBus: 255))
    #expect(addresses.powerManagement.eventPort == 0x600)
    #expect(addresses.systemControlInterrupt == 9)
    #expect(board.isaBridge.read(at: 0x604, width: 2) == 0)
  }

  @Test(
    "whatever firmware programs, files have the lengths that the directory said at first",
    arguments: [0, 0xE000_0001, 0xF_FC00_0005, 0xB000_0003] as [UInt64])
  func roomForTables(express: UInt64) throws {
    var items = try FirmwareItems(
      PersonalComputerConfiguration(), vcpuCount: 64,
      processor: ProcessorIdentity(name: "", megahertz: 0),
      layout: GuestMemoryLayout(ramByteCount: 64 << 20), board: board)
    write(HostBridge.address, 0x60, width: 8, express)
    write(ISABridge.address, 0x40, width: 4, 0xFF80)
    write(ISABridge.address, 0x44, width: 1, 0x82)
    write(ISABridge.address, 0xF0, width: 4, 0xFED1_C001)
    let loader = TableLoader(ACPITables(board.platform))
    var found: [[UInt8]] = []
    for selector in UInt16(0x20)..<0x23 {
      items.complete(selector)
      found.append(items[selector])
    }
    for (file, whole) in zip(found, [loader.rsdp, loader.tables, loader.commands]) {
      #expect(Array(file.prefix(whole.count)) == whole)
      #expect(file.dropFirst(whole.count).allSatisfy { $0 == 0 })
    }
    #expect(found[0].count == 36 && found[1].count % 4096 == 0 && found[2].count % 4096 == 0)
    let directory = items[0x19]
    let byteCounts = (0..<Int(directory[3])).reduce(into: [Int: Int]()) { counts, index in
      let place = 4 + 64 * index
      let selector: UInt16 = directory.loadBE(at: place + 4)
      counts[Int(selector)] = Int(directory.loadBE(at: place, as: UInt32.self))
    }
    #expect((0x20..<0x23).map { byteCounts[$0] } == found.map { $0.count })
  }

  @Test("the tables name the addresses at which a TPM answers")
  func tpm() {
    typealias Hardware = ACPIFixedHardware
    #expect(
      TPMInterface.range
        == MMIORange(
          start: UInt64(Hardware.tpmAddress), byteCount: UInt64(Hardware.tpmByteCount)))
    #expect(PhysicalPresenceMemory.range.start == UInt64(Hardware.physicalPresenceAddress))
  }

  @Test("the tables name the address at which the generation is")
  func generation() {
    #expect(GenerationID.range.start == UInt64(ACPIFixedHardware.generationIDAddress))
    #expect(GenerationID.range.byteCount <= UInt64(ACPIFixedHardware.generationIDByteCount))
  }

  @Test("the tables name the ports at which devices answer")
  func ports() {
    let keyboard = KeyboardController(keyboardLine: nil) {}
    let named: [(UInt16, UInt8)] = [
      (ACPIFixedHardware.serialPort1, ACPIFixedHardware.serialPort1Count),
      (ACPIFixedHardware.realTimeClockPort, ACPIFixedHardware.realTimeClockPortCount),
      (ACPIFixedHardware.keyboardDataPort, 1), (ACPIFixedHardware.keyboardCommandPort, 1),
      (
        ACPIFixedHardware.firmwareConfigurationPort,
        ACPIFixedHardware.firmwareConfigurationPortCount
      ),
      (ACPIFixedHardware.pciConfigurationPort, ACPIFixedHardware.pciConfigurationPortCount),
    ]
    let claimed =
      [UART16550.firstSerialPort, RealTimeClock.ports] + keyboard.attachments.map(\.0)
      + [FirmwareConfiguration.ports, PCIConfigPorts.ports]
    #expect(named.map { PortRange(start: $0, count: UInt16($1)) } == claimed)
    #expect(claimed.last?.contains(ACPIFixedHardware.resetPort) == true)
    #expect(ISABridge.address.device == UInt8(ACPIFixedHardware.lpcDeviceNumber))
  }

  @Test("an input is asserted while one of its wires is, and is set only when that changes")
  func sharedInput() {
    let levels = Mutex<[Bool]>([])
    let input = KVMInterrupts.Input { level in levels.withLock { $0.append(level) } }
    let wires = (0..<2).map { _ in KVMInterruptLine(input) }
    wires[0].set(false)
    wires[0].set(true)
    wires[0].set(true)
    wires[1].set(true)
    wires[0].set(false)
    #expect(levels.withLock { $0 } == [true])
    wires[1].set(false)
    wires[1].set(true)
    #expect(levels.withLock { $0 } == [true, false, true])
  }
}
