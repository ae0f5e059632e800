import Testing

@testable import ACPI

/// ACPI 6.3 §5.2.12.
struct MADTTests {
  /// The entries after the 44 bytes at the start, each whole.
  private func entries(_ table: [UInt8]) -> [[UInt8]] {
    var entries: [[UInt8]] = []
    var offset = 44
    while offset < table.count {
      let end = offset + Int(table[offset + 1])
      guard end > offset, end <= table.count else { break }
      entries.append(Array(table[offset..<end]))
      offset = end
    }
    return entries
  }

  @Test func tableOfTwoProcessors() {
    let table = MADT.table(ACPIPlatform(vcpuCount: 2, legacyDevices: [])).bytes
    #expect(table[8] == 5)
    #expect(table.number(at: 36, byteCount: 4) == 0xFEE0_0000)
    #expect(table.number(at: 40, byteCount: 4) == 1)
    #expect(table.count == 44 + 2 * 8 + 12 + 2 * 10 + 6)
    #expect(
      entries(table) == [
        [0, 8, 0, 0, 1, 0, 0, 0],
        [0, 8, 1, 1, 1, 0, 0, 0],
        [1, 12, 0, 0, 0, 0, 0xC0, 0xFE, 0, 0, 0, 0],
        [2, 10, 0, 0, 2, 0, 0, 0, 0, 0],
        [2, 10, 0, 9, 9, 0, 0, 0, 0x0D, 0],
        [4, 6, 0xFF, 0, 0, 1],
      ])
  }

  /// 254 is the last id of a local APIC's entry; 255 there would be all processors.
  @Test func idsFrom255OnTakeX2APICEntries() {
    let platform = ACPIPlatform(
      apicIDs: [0, 254, 255, 256, 0x0102_0304], addresses: .usual, legacyDevices: [])
    #expect(
      entries(MADT.table(platform).bytes) == [
        [0, 8, 0, 0, 1, 0, 0, 0],
        [0, 8, 1, 254, 1, 0, 0, 0],
        [9, 16, 0, 0, 0xFF, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0],
        [9, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0],
        [9, 16, 0, 0, 4, 3, 2, 1, 1, 0, 0, 0, 4, 0, 0, 0],
        [1, 12, 0, 0, 0, 0, 0xC0, 0xFE, 0, 0, 0, 0],
        [2, 10, 0, 0, 2, 0, 0, 0, 0, 0],
        [2, 10, 0, 9, 9, 0, 0, 0, 0x0D, 0],
        [4, 6, 0xFF, 0, 0, 1],
        [10, 12, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0],
      ])
  }

  @Test(arguments: [1, 255, 256, ACPIPlatform.maximumVCPUCount])
  func everyProcessorHasOneEntry(vcpuCount: Int) {
    let table = MADT.table(ACPIPlatform(vcpuCount: vcpuCount, legacyDevices: [])).bytes
    let kinds = entries(table).map { $0[0] }
    #expect(kinds.count { $0 == 0 } == min(vcpuCount, 255))
    #expect(kinds.count { $0 == 9 } == max(0, vcpuCount - 255))
    #expect(kinds.count { $0 == 10 } == (vcpuCount > 255 ? 1 : 0))
  }

  /// ISA's interrupts are edges unless an entry says otherwise; PCI's, from 16 on, are levels.
  @Test(arguments: [9, 10, 11, 20, 21, 22, 23] as [UInt8])
  func systemControlInterruptIsALevel(interrupt: UInt8) {
    var addresses = ACPIAddresses.usual
    addresses.systemControlInterrupt = interrupt
    let platform = ACPIPlatform(vcpuCount: 1, addresses: addresses, legacyDevices: [])
    let overrides = entries(MADT.table(platform).bytes).filter { $0[0] == 2 && $0[3] != 0 }
    #expect(
      overrides == (interrupt < 16 ? [[2, 10, 0, interrupt, interrupt, 0, 0, 0, 0x0D, 0]] : []))
    #expect(FADT.table(platform).bytes.number(at: 46, byteCount: 2) == UInt64(interrupt))
  }
}
