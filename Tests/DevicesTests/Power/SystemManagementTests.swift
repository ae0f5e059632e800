import DeviceKit
import GuestMemory
import Synchronization
import TestSupport
import Testing

@testable import Devices

@Suite struct SystemManagementTests {
  private let count = Counter()

  private final class Counter: Sendable {
    private let value = Atomic(0)

    func add() { value.add(1, ordering: .relaxed) }

    var number: Int { value.load(ordering: .relaxed) }
  }

  private func control() -> SystemManagementControl {
    SystemManagementControl(onInterrupt: { [count] in count.add() })
  }

  private func power(_ control: SystemManagementControl) -> PowerManagement {
    PowerManagement(
      timer: PMTimer(nanoseconds: { 0 }), line: nil, management: control, onPowerOff: {})
  }

  @Test("a command interrupts when both enables are set, and not before")
  func commands() {
    let control = control()
    let power = power(control)
    for (enabled, expected) in [(0, 0), (1, 0), (0x20, 0), (0x21, 1)] as [(UInt64, Int)] {
      power.write(offset: 0x30, width: 4, value: enabled)
      #expect(power.read(offset: 0x30, width: 4) == enabled)
      control.write(offset: 0, width: 1, value: 7)
      #expect(count.number == expected)
    }
    // The status register does not interrupt; both store.
    control.write(offset: 1, width: 1, value: 9)
    #expect(count.number == 1 && control.read(offset: 0, width: 2) == 0x0907)
    control.write(offset: 0, width: 2, value: 0x0102)
    #expect(count.number == 2 && control.read(offset: 0, width: 2) == 0x0102)
  }

  @Test("SMI_LOCK keeps the enables until a reset, as firmware checks")
  func lock() {
    let control = control()
    let power = power(control)
    let bridge = ISABridge(power: power, management: control)
    power.write(offset: 0x30, width: 4, value: 0x21)
    bridge.configuration.write(offset: 0xA0, width: 2, value: 0x10)
    bridge.configurationChanged()
    power.write(offset: 0x30, width: 4, value: 0)
    #expect(power.read(offset: 0x30, width: 4) == 0x21)
    bridge.configuration.write(offset: 0xA0, width: 2, value: 0)
    bridge.configurationChanged()
    #expect(bridge.configuration.read(offset: 0xA0, width: 2) == 0x10)
  }

  @Test("without system management mode there is no SMI_EN")
  func without() {
    let power = PowerManagement(timer: PMTimer(nanoseconds: { 0 }), line: nil, onPowerOff: {})
    power.write(offset: 0x30, width: 4, value: 0x21)
    #expect(power.read(offset: 0x30, width: 4) == 0)
  }

  @Test("TSEG: its size by QEMU's register, closed and opened, and locked for good")
  func memory() {
    let states = Recorder<Bool>()
    let bridge = HostBridge(
      management: HostBridge.ManagementMemory(mebibyteCount: 16, onChange: { states.append($0) }))
    func write(_ offset: Int, _ width: Int, _ value: UInt64) -> Bool? {
      bridge.configuration.write(offset: offset, width: width, value: value)
      bridge.configurationChanged()
      return states.values.last
    }
    _ = write(0x50, 2, 0xFFFF)
    #expect(bridge.configuration.read(offset: 0x50, width: 2) == 16)
    // T_EN alone does not close it, nor does G_SMRAME alone.
    #expect(write(0x9E, 1, 0x07) == true)
    #expect(write(0x9E, 1, 0x06) == true && write(0x9D, 1, 0x0A) == true)
    #expect(write(0x9E, 1, 0x07) == false)
    #expect(write(0x9E, 1, 0x06) == true)
    // Locked with D_OPEN set, which goes.
    #expect(write(0x9E, 1, 0x07) == false && write(0x9D, 1, 0x5A) == false)
    #expect(bridge.configuration.read(offset: 0x9D, width: 1) == 0x1A)
    #expect(write(0x9E, 1, 0) == false && write(0x9D, 1, 0) == false)
    #expect(write(0x50, 2, 1) == false)
    #expect(bridge.configuration.read(offset: 0x50, width: 2) == 16)
  }

  @Test("the negotiation: broadcast alone is possible, and an agreement stays")
  func negotiation() throws {
    let control = control()
    let memory = try GuestMemory(layout: GuestMemoryLayout(ramByteCount: 1 << 20))
    var items = FirmwareItems(vcpuCount: 1, memoryByteCount: 1 << 20, uuid: [])
    for file in control.files { try items.addLive(file) }
    let device = FirmwareConfiguration(items: items, memory: memory)
    /// Runs a DMA command on a file, 0x20 and up, and gives its control word.
    func run(_ file: UInt32, _ operation: UInt32, _ bytes: [UInt8]) throws -> UInt32 {
      try memory.write(bytes, at: GPA(0x2000))
      let control = (file << 16 | 1 << 3 | operation).byteSwapped
      try memory.store(control, at: GPA(0x1000))
      try memory.store(UInt32(bytes.count).byteSwapped, at: GPA(0x1004))
      try memory.store(UInt64(0x2000).byteSwapped, at: GPA(0x1008))
      device.write(offset: 4, width: 4, value: 0)
      device.write(offset: 8, width: 4, value: UInt64(UInt32(0x1000).byteSwapped))
      return UInt32(bigEndian: try memory.load(at: GPA(0x1000)))
    }
    func read(_ file: UInt32, _ count: Int) throws -> [UInt8] {
      #expect(try run(file, 2, [UInt8](repeating: 0xEE, count: count)) == 0)
      return try memory.read(at: GPA(0x2000), byteCount: count)
    }
    let (supported, requested, agreed): (UInt32, UInt32, UInt32) = (0x20, 0x21, 0x22)
    #expect(try read(supported, 8) == [1, 0, 0, 0, 0, 0, 0, 0])
    // What is not offered, and then too many bytes, and a file that cannot be written.
    #expect(try run(requested, 16, [3, 0, 0, 0, 0, 0, 0, 0]) == 0)
    #expect(try read(agreed, 1) == [0])
    #expect(try run(requested, 16, [UInt8](repeating: 0, count: 9)) == 1)
    #expect(try run(supported, 16, [3, 0, 0, 0, 0, 0, 0, 0]) == 1)
    #expect(try run(requested, 16, [1, 0, 0, 0, 0, 0, 0, 0]) == 0)
    #expect(try read(agreed, 1) == [1])
    #expect(try run(requested, 16, [0, 0, 0, 0, 0, 0, 0, 0]) == 0)
    #expect(try read(requested, 8) == [1, 0, 0, 0, 0, 0, 0, 0])
  }

  @Test("a locked chip reads, and takes no command")
  func flash() throws {
    let chip = try FlashChip(store: VolatileFlashStore([UInt8](repeating: 0x5A, count: 4096))) {
      Issue.record("\($0)")
    }
    let locked = LockedFlash(chip)
    // Erase of the first block, confirmed; then the status would be read.
    for value: UInt64 in [0x20, 0xD0] { locked.write(offset: 0, width: 1, value: value) }
    #expect(locked.read(offset: 0, width: 4) == 0x5A5A_5A5A)
    for value: UInt64 in [0x20, 0xD0, 0xFF] { chip.write(offset: 0, width: 1, value: value) }
    #expect(locked.read(offset: 0, width: 4) == 0xFFFF_FFFF)
  }
}
