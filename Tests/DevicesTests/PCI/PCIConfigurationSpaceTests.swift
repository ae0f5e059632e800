import TestSupport
import Testing

@testable import DeviceKit
@testable import Devices

@Suite(.onVCPUThread) struct PCIConfigurationSpaceTests {
  private static func makeSpace() -> PCIConfigurationSpace {
    PCIConfigurationSpace(
      identity: PCIIdentity(
        vendor: 0x1234, device: 0x5678, revision: 9, classCode: 0x01_0802,
        subsystemVendor: 0xABCD, subsystem: 0xEF01),
      interruptPin: 1)
  }

  struct Row: CustomTestStringConvertible, Sendable {
    let register: Int
    let width: Int
    let initial: UInt64
    /// After a write of all ones.
    let afterOnes: UInt64
    let name: String
    var testDescription: String { name }
  }

  @Test(
    "the header's registers, and which of their bits a guest can write",
    arguments: [
      Row(register: 0x00, width: 4, initial: 0x5678_1234, afterOnes: 0x5678_1234, name: "ids"),
      Row(register: 0x04, width: 2, initial: 0, afterOnes: 0x0547, name: "command"),
      Row(register: 0x06, width: 2, initial: 0, afterOnes: 0, name: "status"),
      Row(register: 0x08, width: 4, initial: 0x0108_0209, afterOnes: 0x0108_0209, name: "class"),
      Row(register: 0x0C, width: 1, initial: 0, afterOnes: 0xFF, name: "cache line"),
      Row(register: 0x0D, width: 1, initial: 0, afterOnes: 0, name: "latency"),
      Row(register: 0x0E, width: 1, initial: 0, afterOnes: 0, name: "header type"),
      Row(register: 0x10, width: 4, initial: 0, afterOnes: 0, name: "no BAR"),
      Row(register: 0x2C, width: 4, initial: 0xEF01_ABCD, afterOnes: 0xEF01_ABCD, name: "system"),
      Row(register: 0x30, width: 4, initial: 0, afterOnes: 0, name: "no expansion ROM"),
      Row(register: 0x34, width: 1, initial: 0, afterOnes: 0, name: "no capabilities"),
      Row(register: 0x3C, width: 1, initial: 0, afterOnes: 0xFF, name: "interrupt line"),
      Row(register: 0x3D, width: 1, initial: 1, afterOnes: 1, name: "interrupt pin"),
      Row(register: 0x100, width: 4, initial: 0, afterOnes: 0, name: "extended capabilities"),
    ])
  func header(row: Row) {
    var space = Self.makeSpace()
    #expect(space.read(offset: row.register, width: row.width) == row.initial)
    space.write(offset: row.register, width: row.width, value: .max)
    #expect(space.read(offset: row.register, width: row.width) == row.afterOnes)
  }

  @Test("writing 1 clears, writing 0 does not", arguments: 0..<16)
  func clearable(bit: Int) {
    var space = Self.makeSpace()
    space.preset(UInt16(0xFFFF), at: 0x40)
    space.makeClearable(UInt16(0x5555), at: 0x40)
    space.write(offset: 0x40, width: 2, value: 1 << UInt64(bit))
    let cleared: UInt16 = bit % 2 == 0 ? 1 << bit : 0
    #expect(space.value(at: 0x40, as: UInt16.self) == 0xFFFF & ~cleared)
  }

  @Test("a narrow write leaves the register's other bytes")
  func narrowWrite() {
    var space = Self.makeSpace()
    space.makeWritable(UInt32.max, at: 0x40)
    space.write(offset: 0x40, width: 4, value: 0x4433_2211)
    space.write(offset: 0x42, width: 1, value: 0xAA)
    #expect(space.read(offset: 0x40, width: 4) == 0x44AA_2211)
    #expect(space.read(offset: 0x41, width: 2) == 0xAA22)
  }

  @Test("what is past the end reads ones and takes no write", arguments: [4094, 4096, -1, 1 << 40])
  func pastTheEnd(offset: Int) {
    var space = Self.makeSpace()
    space.write(offset: offset, width: 4, value: 0)
    #expect(space.read(offset: offset, width: 4) >> 16 == (offset == -1 ? 0x7812 : 0xFFFF))
  }

  @Test(
    "writing all ones to a BAR tells its size",
    arguments: [
      PCIBAR(index: 0, byteCount: 16), PCIBAR(index: 1, byteCount: 4096),
      PCIBAR(index: 5, byteCount: 1 << 30), PCIBAR(index: 2, byteCount: 1 << 20, is64Bit: true),
      PCIBAR(index: 4, byteCount: 0x4000, is64Bit: true, isPrefetchable: true),
    ])
  func sizing(bar: PCIBAR) {
    var space = Self.makeSpace()
    space.addBAR(bar)
    let type: UInt64 = (bar.is64Bit ? 4 : 0) | (bar.isPrefetchable ? 8 : 0)
    #expect(space.read(offset: bar.offset, width: 4) == type)
    space.write(offset: bar.offset, width: 4, value: 0xFFFF_FFFF)
    if bar.is64Bit { space.write(offset: bar.offset + 4, width: 4, value: 0xFFFF_FFFF) }
    let low = space.read(offset: bar.offset, width: 4)
    #expect(low == (0x1_0000_0000 - bar.byteCount) | type)
    if bar.is64Bit { #expect(space.read(offset: bar.offset + 4, width: 4) == 0xFFFF_FFFF) }
    let last = UInt64(bar.is64Bit ? UInt64.max : 0xFFFF_FFFF)
    #expect(space.address(of: bar) == last - (bar.byteCount - 1))
  }

  @Test("capabilities are linked, and announced in the status register")
  func capabilities() {
    var space = Self.makeSpace()
    let first = space.addCapability(0x11, body: Array(repeating: 1, count: 10))
    let second = space.addCapability(0x09, body: [3, 0xAA, 0xBB])
    #expect(first == 0x40 && second == 0x4C)
    #expect(space.read(offset: 0x06, width: 2) == 0x10)
    #expect(space.read(offset: 0x34, width: 1) == 0x40)
    #expect(space.read(offset: 0x40, width: 2) == 0x4C11)
    #expect(space.read(offset: 0x4C, width: 4) == 0xAA03_0009)
    space.write(offset: 0x34, width: 1, value: 0)
    #expect(space.read(offset: 0x34, width: 1) == 0x40)
  }
}
