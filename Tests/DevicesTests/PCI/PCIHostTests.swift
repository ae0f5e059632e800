import TestSupport
import Testing

@testable import DeviceKit
@testable import Devices

@Suite(.onVCPUThread) struct PCIHostTests {
  private static let bar32 = PCIBAR(index: 0, byteCount: 0x1000)
  private static let express: UInt64 = 0xE000_0000
  private static let bar64 = PCIBAR(index: 2, byteCount: 0x4000, is64Bit: true)

  private let first = FakeFunction(name: 0xA, bars: [bar32, bar64])
  private let second = FakeFunction(name: 0xB, bars: [bar32])
  private let host: PCIHost
  private let bridge = HostBridge()
  private let memory: PCIMemory
  private let ports: PCIConfigPorts
  private let resetControl = RecordingBusDevice(answer: 0x5A)

  init() {
    host = PCIHost([
      (HostBridge.address, bridge), (PCIAddress(device: 3), first),
      (PCIAddress(device: 4, function: 0), FakeFunction()),
      (PCIAddress(device: 4, function: 1), second),
    ])
    memory = PCIMemory(host: host, bridge: bridge)
    ports = PCIConfigPorts(host: host, resetControl: resetControl)
  }

  private func place(_ function: UInt8, _ register: Int, _ value: UInt64, width: Int = 4) {
    let address = function == 0xA ? PCIAddress(device: 3) : PCIAddress(device: 4, function: 1)
    host.writeConfiguration(address, offset: register, width: width, value: value)
  }

  /// A register among those in memory.
  private func express(_ offset: UInt64, width: Int) -> UInt64? {
    memory.read(at: Self.express + offset, width: width)
  }

  private func writeExpress(_ offset: UInt64, width: Int, value: UInt64) {
    #expect(memory.write(at: Self.express + offset, width: width, value: value))
  }

  @Test("both ways to configuration registers agree, over all of bus 0 and all widths")
  func waysAgree() {
    bridge.placeConfiguration(at: Self.express)
    var generator = SeededGenerator(seed: 0xCF8)
    for _ in 0..<20_000 {
      let place = UInt64.random(in: 0..<256, using: &generator)
      let width = [1, 2, 4].randomElement(using: &generator) ?? 1
      let register = UInt64.random(in: 0..<256, using: &generator) & ~UInt64(width - 1)
      ports.write(offset: 0, width: 4, value: 1 << 31 | place << 8 | register & 0xFC)
      let mask: UInt64 = (1 << (8 * UInt64(width))) - 1
      let offset = place << 12 | register
      // That would move them.
      guard place != 0 || !(0x60..<0x68).contains(register) else { continue }
      if Bool.random(using: &generator) {
        let value = generator.next() & mask
        if Bool.random(using: &generator) {
          ports.write(offset: 4 + register % 4, width: width, value: value)
        } else {
          writeExpress(offset, width: width, value: value)
        }
      }
      let byPort = ports.read(offset: 4 + register % 4, width: width) & mask
      #expect(byPort == express(offset, width: width).map { $0 & mask }, "seed 0xCF8")
    }
  }

  @Test("absent functions, other buses and a disabled address register read all ones")
  func absent() {
    bridge.placeConfiguration(at: Self.express)
    #expect(express(5 << 15, width: 4).map { $0 & 0xFFFF_FFFF } == 0xFFFF_FFFF)
    #expect(express(1 << 20, width: 4).map { $0 & 0xFFFF_FFFF } == 0xFFFF_FFFF)
    writeExpress(1 << 20, width: 4, value: 0)
    for address: UInt64 in [1 << 31 | 5 << 11, 1 << 31 | 1 << 16, 3 << 11] {
      ports.write(offset: 0, width: 4, value: address)
      #expect(ports.read(offset: 0, width: 4) == address)
      #expect(ports.read(offset: 4, width: 4) & 0xFFFF_FFFF == 0xFFFF_FFFF)
      ports.write(offset: 4, width: 4, value: 0)
    }
  }

  @Test("only 4 bytes at 0xCF8 are the address register; a byte at 0xCF9 goes elsewhere")
  func addressRegister() {
    ports.write(offset: 0, width: 4, value: 0xFFFF_FFFF)
    #expect(ports.read(offset: 0, width: 4) == 0x80FF_FFFC)
    for (offset, width) in [(0, 1), (0, 2), (1, 2), (2, 1), (2, 2), (3, 1), (1, 1)] {
      ports.write(offset: UInt64(offset), width: width, value: 0)
    }
    #expect(ports.read(offset: 0, width: 4) == 0x80FF_FFFC)
    #expect(resetControl.writes == [[0, 1, 0]])
    #expect(ports.read(offset: 1, width: 1) == 0x5A)
    #expect(ports.read(offset: 0, width: 1) & 0xFF == 0xFF)
    ports.reset()
    #expect(ports.read(offset: 0, width: 4) == 0)
  }

  @Test("an access past the data ports ends there")
  func dataPortsEnd() {
    ports.write(offset: 0, width: 4, value: 1 << 31 | 3 << 11)
    #expect(ports.read(offset: 6, width: 4) & 0xFFFF_FFFF == 0xFFFF_5678)
    ports.write(offset: 0, width: 4, value: 1 << 31 | 3 << 11 | 0x3C)
    ports.write(offset: 7, width: 4, value: 0)
    #expect(ports.read(offset: 4, width: 2) & 0xFFFF == 0x0100)
  }

  @Test("a BAR is decoded where it is, and only while memory space is on")
  func decoding() {
    place(0xA, 0x10, 0xC100_0000)
    #expect(memory.read(at: 0xC100_0010, width: 4) == nil)
    place(0xA, 0x04, 2, width: 2)
    #expect(memory.read(at: 0xC100_0010, width: 4) == UInt64(0xA << 32 | 0x10))
    #expect(memory.read(at: 0xC100_0FFE, width: 4) == nil)
    #expect(memory.write(at: 0xC100_0020, width: 8, value: 7))
    #expect(!memory.write(at: 0xC200_0020, width: 8, value: 8))
    #expect(first.writes.values == [[0, 0x20, 8, 7]])
    place(0xA, 0x10, 0xC200_0000)
    #expect(memory.read(at: 0xC100_0010, width: 4) == nil)
    #expect(memory.read(at: 0xC200_0010, width: 4) == UInt64(0xA << 32 | 0x10))
    place(0xA, 0x04, 0, width: 1)
    #expect(memory.read(at: 0xC200_0010, width: 4) == nil)
    #expect(first.changes.values.count == 4)
  }

  @Test("a 64-bit BAR passes through half-written addresses")
  func wideBAR() {
    place(0xA, 0x04, 2, width: 2)
    place(0xA, 0x18, 0xC400_0000)
    #expect(memory.read(at: 0xC400_3FF8, width: 8) == 0xA_0200_3FF8)
    place(0xA, 0x1C, 8)
    #expect(memory.read(at: 0xC400_3FF8, width: 8) == nil)
    #expect(memory.read(at: 0x8_C400_0008, width: 4) == 0xA_0200_0008)
  }

  @Test("of overlapping BARs the one moved last answers, until it moves on")
  func overlap() {
    for function: UInt8 in [0xA, 0xB] { place(function, 0x04, 2, width: 2) }
    place(0xA, 0x10, 0xC000_0000)
    place(0xB, 0x10, 0xC000_0000)
    #expect(memory.read(at: 0xC000_0000, width: 4).map { $0 >> 32 } == 0xB)
    place(0xB, 0x3C, 11)
    place(0xA, 0x3C, 11)
    #expect(memory.read(at: 0xC000_0000, width: 4).map { $0 >> 32 } == 0xB)
    place(0xB, 0x10, 0xC000_1000)
    #expect(memory.read(at: 0xC000_0000, width: 4).map { $0 >> 32 } == 0xA)
    #expect(memory.read(at: 0xC000_1000, width: 4).map { $0 >> 32 } == 0xB)
    place(0xA, 0x10, 0xC000_1000)
    #expect(memory.read(at: 0xC000_1000, width: 4).map { $0 >> 32 } == 0xA)
    host.reset()
    #expect(memory.read(at: 0xC000_1000, width: 4) == nil)
  }

  @Test("configuration registers lie over BARs, and uncover them when they move on")
  func expressOverBAR() {
    place(0xA, 0x04, 2, width: 2)
    place(0xA, 0x10, 0xE000_0000)
    let identity = UInt64(0x29C0_8086)
    #expect(memory.read(at: 0xE000_0010, width: 4) == UInt64(0xA << 32 | 0x10))
    bridge.placeConfiguration(at: 0xE000_0000)
    #expect(memory.read(at: 0xE000_0000, width: 4) == identity)
    bridge.placeConfiguration(at: 0xD000_0000)
    #expect(memory.read(at: 0xE000_0010, width: 4) == UInt64(0xA << 32 | 0x10))
    #expect(memory.read(at: 0xD000_0000, width: 4) == identity)
    // Switched off through themselves.
    #expect(memory.write(at: 0xD000_0060, width: 4, value: 0))
    #expect(memory.read(at: 0xD000_0000, width: 4) == nil)
    #expect(!memory.write(at: 0xD000_0060, width: 4, value: 1))
  }

  @Test("the VMM's places are aligned, disjoint and not yet decoded")
  func assignment() {
    host.assignResources(window: 0xC000_0000..<0xFC00_0000, ports: 0xC000..<0xD000)
    #expect(first.configuration.address(of: Self.bar64) == 0xC000_0000)
    #expect(first.configuration.address(of: Self.bar32) == 0xC000_4000)
    #expect(second.configuration.address(of: Self.bar32) == 0xC000_5000)
    #expect(memory.read(at: 0xC000_0000, width: 4) == nil)
  }

  @Test("a device with a second function says so, also after a reset")
  func multiFunction() {
    for _ in 0..<2 {
      #expect(host.readConfiguration(PCIAddress(device: 4), offset: 0x0E, width: 1) == 0x80)
      #expect(host.readConfiguration(PCIAddress(device: 3), offset: 0x0E, width: 1) == 0)
      host.reset()
    }
    #expect(host.addresses.map(\.description) == ["00:00.0", "00:03.0", "00:04.0", "00:04.1"])
  }

  @Test("an INTx pin is held back by the command register")
  func pin() {
    let line = RecordingLine()
    let pin = INTxPin(configuration: first.configuration, line: line)
    pin.set(true)
    #expect(first.configuration.read(offset: 0x06, width: 2) & 8 == 8)
    place(0xA, 0x04, 1 << 10, width: 2)
    pin.configurationChanged()
    place(0xA, 0x04, 0, width: 2)
    pin.configurationChanged()
    pin.set(false)
    #expect(line.levels == [true, false, true, false])
    #expect(first.configuration.read(offset: 0x06, width: 2) & 8 == 0)
  }
}

/// Records writes and always answers the same.
private final class RecordingBusDevice: BusDevice {
  private let answer: UInt64
  private let log = Recorder<[UInt64]>()

  init(answer: UInt64) {
    self.answer = answer
  }

  var writes: [[UInt64]] { log.values }

  func read(offset: UInt64, width: Int) -> UInt64 { answer }

  func write(offset: UInt64, width: Int, value: UInt64) {
    log.append([offset, UInt64(width), value])
  }
}
