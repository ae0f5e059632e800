import TestSupport
import Testing

@testable import DeviceKit
@testable import Devices

@Suite(.onVCPUThread) struct MSIXTableTests {
  private let sink = RecordingSink()
  private let table: MSIXTable
  private let configuration: PCIConfiguration
  private let capability: Int

  init() throws {
    let bar = PCIBAR(index: 0, byteCount: 0x4000)
    var space = PCIConfigurationSpace(
      identity: PCIIdentity(vendor: 1, device: 2, classCode: 3))
    space.addBAR(bar)
    space.addMSIX(vectorCount: 70, bar: bar, tableOffset: 0x2000, pendingOffset: 0x3000)
    let layout = try #require(space.msix)
    capability = layout.capability
    table = MSIXTable(layout, sink: sink)
    configuration = PCIConfiguration(space)
  }

  private func setControl(_ value: UInt64) {
    configuration.write(offset: capability + 2, width: 2, value: value)
    configuration.write(offset: 4, width: 2, value: 4)
    table.follow(configuration)
  }

  private func setVector(_ vector: UInt64, mask: UInt64) {
    table.writeTable(offset: 16 * vector, width: 8, value: 0xFEE0_1000)
    table.writeTable(offset: 16 * vector + 8, width: 4, value: 0x40 + vector)
    table.writeTable(offset: 16 * vector + 12, width: 4, value: mask)
  }

  private var isPending: Bool {
    (0..<9).contains { table.readPending(offset: 8 * UInt64($0), width: 8) != 0 }
  }

  @Test("the capability tells size and places; only enable and mask can be written")
  func capabilityRegisters() {
    #expect(configuration.read(offset: capability, width: 4) == 0x0045_0011)
    #expect(configuration.read(offset: capability + 4, width: 4) == 0x2000)
    #expect(configuration.read(offset: capability + 8, width: 4) == 0x3000)
    configuration.write(offset: capability + 2, width: 2, value: 0xFFFF)
    #expect(configuration.read(offset: capability + 2, width: 2) == 0xC045)
  }

  @Test("a vector sends what its entry says", arguments: [0, 1, 63, 64, 69])
  func sends(vector: Int) {
    setControl(0x8000)
    setVector(UInt64(vector), mask: 0)
    table.signal(vector)
    #expect(sink.messages == [MSIMessage(address: 0xFEE0_1000, data: 0x40 + UInt32(vector))])
    #expect(!isPending)
  }

  @Test("a masked vector is pending, and sent once when unmasked", arguments: [0, 1, 63, 64, 69])
  func masked(vector: Int) {
    setControl(0x8000)
    setVector(UInt64(vector), mask: 1)
    table.signal(vector)
    table.signal(vector)
    #expect(sink.messages.isEmpty)
    let word = table.readPending(offset: UInt64(vector / 64 * 8), width: 8)
    #expect(word == 1 << UInt64(vector % 64))
    let half = table.readPending(offset: UInt64(vector / 32 * 4), width: 4)
    #expect(half == 1 << UInt64(vector % 32))
    setVector(UInt64(vector), mask: 0)
    #expect(sink.messages.count == 1)
    #expect(!isPending)
  }

  @Test("the function mask holds all vectors back")
  func functionMask() {
    setControl(0xC000)
    for vector in 0..<3 {
      setVector(UInt64(vector), mask: vector == 1 ? 1 : 0)
      table.signal(vector)
    }
    #expect(table.readPending(offset: 0, width: 8) == 7)
    setControl(0x8000)
    #expect(sink.messages.map(\.data) == [0x40, 0x42])
    #expect(table.readPending(offset: 0, width: 8) == 2)
  }

  @Test("while MSI-X is off nothing is sent or pending")
  func disabled() {
    setVector(0, mask: 0)
    table.signal(0)
    #expect(!table.isEnabled && !isPending)
    setControl(0xC000)
    table.signal(0)
    #expect(table.isEnabled && isPending)
    setControl(0x4000)
    #expect(!isPending)
    setControl(0x8000)
    #expect(sink.messages.isEmpty)
  }

  @Test("entries begin masked and zero; reserved bits stay zero; reset restores that")
  func entries() {
    #expect(table.readTable(offset: 12, width: 4) == 1)
    table.writeTable(offset: 0, width: 8, value: .max)
    table.writeTable(offset: 8, width: 8, value: .max)
    #expect(table.readTable(offset: 0, width: 8) == UInt64.max - 3)
    #expect(table.readTable(offset: 8, width: 8) == 0x1_FFFF_FFFF)
    table.reset()
    #expect(table.readTable(offset: 0, width: 8) == 0)
    #expect(table.readTable(offset: 8, width: 8) == 1 << 32)
  }

  @Test("offsets past the end read zero and take no write", arguments: [1120, 1 << 32, UInt64.max])
  func pastTheEnd(offset: UInt64) {
    setControl(0x8000)
    table.writeTable(offset: offset, width: 8, value: .max)
    #expect(table.readTable(offset: offset, width: 8) & 0xFF == 0)
    #expect(table.readPending(offset: offset, width: 8) == 0)
    for vector in [-1, 70, .max] { table.signal(vector) }
    #expect(sink.messages.isEmpty)
  }
}
