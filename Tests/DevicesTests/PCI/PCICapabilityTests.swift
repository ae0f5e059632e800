import TestSupport
import Testing

@testable import DeviceKit
@testable import Devices

/// The capabilities of power management and PCI Express: registers, D3hot, function level reset.
@Suite(.onVCPUThread) struct PCICapabilityTests {
  private static let address = PCIAddress(device: 3)
  private static let bar = PCIBAR(index: 0, byteCount: 0x4000)
  private static let place: UInt64 = 0xC000_0000
  private static let power = 0x44
  private static let control = 0x50
  private static let status = 0x52

  private let function = FakeFunction(bars: [Self.bar], isExpress: true)
  private let host: PCIHost

  init() {
    host = PCIHost([(PCIAddress(device: 2), FakeFunction()), (Self.address, function)])
    write(0x10, 4, Self.place)
    write(4, 2, 6)
  }

  private func read(_ offset: Int, _ width: Int) -> UInt64 {
    host.readConfiguration(Self.address, offset: offset, width: width)
      & (UInt64.max >> UInt64(64 - 8 * width))
  }

  private func write(_ offset: Int, _ width: Int, _ value: UInt64) {
    host.writeConfiguration(Self.address, offset: offset, width: width, value: value)
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
    "registers, and which of their bits a guest can write",
    arguments: [
      Row(register: 0x34, width: 1, initial: 0x40, afterOnes: 0x40, name: "first capability"),
      Row(register: 0x40, width: 4, initial: 0x0003_4801, afterOnes: 0x0003_4801, name: "PMC"),
      Row(register: 0x44, width: 4, initial: 8, afterOnes: 0xB, name: "PMCSR"),
      Row(register: 0x48, width: 4, initial: 0x0092_0010, afterOnes: 0x0092_0010, name: "PCIe"),
      Row(register: 0x4C, width: 4, initial: 0x1000_8000, afterOnes: 0x1000_8000, name: "DevCap"),
      // Not its top bit, which resets the function.
      Row(register: 0x50, width: 1, initial: 0x10, afterOnes: 0x1F, name: "DevCtl, low"),
      Row(register: 0x52, width: 2, initial: 0, afterOnes: 0, name: "DevSta"),
      Row(register: 0x54, width: 8, initial: 0, afterOnes: 0, name: "LnkCap, LnkCtl, LnkSta"),
      Row(register: 0x6C, width: 4, initial: 0x10, afterOnes: 0x10, name: "DevCap2"),
      Row(register: 0x70, width: 2, initial: 0, afterOnes: 0x10, name: "DevCtl2"),
      Row(register: 0x74, width: 8, initial: 0, afterOnes: 0, name: "LnkCap2, LnkCtl2"),
      Row(register: 0x84, width: 4, initial: 0, afterOnes: 0, name: "what follows"),
    ])
  func registers(row: Row) {
    #expect(read(row.register, row.width) == row.initial)
    write(row.register, row.width, .max)
    #expect(read(row.register, row.width) == row.afterOnes)
  }

  @Test("D3hot: no memory, no bus master; D0 again: all as it was")
  func power() {
    #expect(host.readMemory(Self.place + 8, width: 4) == 0xA_0000_0008)
    #expect(function.configuration.isBusMaster)
    write(Self.power, 2, 3)
    #expect(host.readMemory(Self.place + 8, width: 4) == nil)
    #expect(!function.configuration.isBusMaster)
    #expect(!function.configuration.setInterruptStatus(true))
    #expect(read(4, 2) == 6 && read(0x10, 4) == Self.place)
    write(Self.power, 2, 0)
    #expect(host.readMemory(Self.place + 8, width: 4) == 0xA_0000_0008)
    #expect(function.configuration.isBusMaster)
    #expect(function.configuration.setInterruptStatus(true))
    // The function hears of each step.
    #expect(function.changes.values.count == 4)
  }

  @Test(
    "a state that there is not is not taken", arguments: [0, 3] as [UInt64], [1, 2] as [UInt64])
  func noSuchState(state: UInt64, other: UInt64) {
    write(Self.power, 2, state)
    write(Self.power, 2, other)
    #expect(read(Self.power, 2) == 8 | state)
  }

  @Test("transactions are pending while the function says so, and only in that bit")
  func transactionsPending() {
    for (offset, width, value) in [(0x52, 2, 0x20), (0x50, 4, 0x0020_2810), (0x53, 1, 0)] {
      function.setBusy(true)
      #expect(read(offset, width) == UInt64(value))
      function.setBusy(false)
      #expect(read(offset, width) == UInt64(value) & ~0x0020_0020)
    }
  }

  @Test(
    "a function level reset: registers as at power-on, all ones until the function is ready",
    arguments: [(0x50, 2, 0xA810), (0x51, 1, 0xA8), (0x50, 4, 0x8000), (0x4E, 4, 0x8000_0000)])
  func functionReset(offset: Int, width: Int, value: UInt64) {
    function.configuration.markMultiFunction()
    write(0x3C, 1, 0x55)
    let changeCount = function.changes.values.count
    write(offset, width, value)
    #expect(function.resets.values.count == 1 && function.changes.values.count == changeCount)
    #expect(read(0, 4) == 0xFFFF_FFFF && read(4, 2) == 0xFFFF)
    #expect(host.readMemory(Self.place, width: 4) == nil)
    // What is written now is lost; that includes a second reset.
    write(4, 2, 6)
    write(0x10, 4, Self.place)
    write(Self.control, 2, 0x8000)
    #expect(function.resets.values.count == 1)
    #expect(host.readConfiguration(PCIAddress(device: 2), offset: 0, width: 4) == 0x5678_1234)

    function.configuration.endFunctionReset()
    #expect(read(0, 4) == 0x5678_1234 && read(4, 2) == 0 && read(0x10, 4) == 0)
    #expect(read(0x3C, 1) == 0 && read(0x0E, 1) == 0x80 && read(Self.control, 2) == 0x2810)
    #expect(host.readMemory(Self.place, width: 4) == nil)
    write(0x10, 4, Self.place)
    write(4, 2, 2)
    #expect(host.readMemory(Self.place, width: 4) == 0xA_0000_0000)
    write(Self.control, 2, 0x8000)
    #expect(function.resets.values.count == 2)
  }

  @Test("a function without the capability takes no such reset")
  func withoutCapability() {
    let plain = FakeFunction()
    let host = PCIHost([(Self.address, plain)])
    for offset in stride(from: 0x40, to: 0x1000, by: 4) {
      host.writeConfiguration(Self.address, offset: offset, width: 4, value: .max)
    }
    #expect(plain.resets.values.isEmpty)
    #expect(host.readConfiguration(Self.address, offset: 0, width: 4) == 0x5678_1234)
  }
}
