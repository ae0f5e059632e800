import GuestMemory
import Testing

@testable import VMM

@Suite struct E820MapTests {
  private func entries(
    _ byteCount: UInt64, acpiTables: Range<UInt64>? = nil
  ) throws -> [[UInt64]] {
    try E820Map(layout: layout(byteCount), acpiTables: acpiTables).entries
      .map { [$0.start.rawValue, $0.end.rawValue, UInt64($0.kind.rawValue)] }
  }

  private static let low: [UInt64] = [0, 0x9_FC00, 1]
  private static let legacy: [UInt64] = [0x9_FC00, 0x10_0000, 2]
  private static let ecam: [UInt64] = [0xB000_0000, 0xC000_0000, 2]

  @Test(
    arguments: [
      (1 << 20, []), (64 << 20, [[0x10_0000, 0x400_0000, 1]]),
      (2 << 30, [[0x10_0000, 0x8000_0000, 1]]),
    ] as [(UInt64, [[UInt64]])])
  func lowOnly(byteCount: UInt64, ram: [[UInt64]]) throws {
    #expect(try entries(byteCount) == [Self.low, Self.legacy] + ram + [Self.ecam])
  }

  @Test(
    arguments: [
      (2 << 30 + 4096, 0x1_0000_1000), (8 << 30, 0x2_8000_0000),
    ] as [(UInt64, UInt64)])
  func high(byteCount: UInt64, end: UInt64) throws {
    #expect(
      try entries(byteCount) == [
        Self.low, Self.legacy, [0x10_0000, 0x8000_0000, 1], Self.ecam, [0x1_0000_0000, end, 1],
      ])
  }

  @Test func tablesInRAM() throws {
    #expect(
      try entries(64 << 20, acpiTables: 0x300_0000..<0x301_0000) == [
        Self.low, Self.legacy, [0x10_0000, 0x300_0000, 1], [0x300_0000, 0x301_0000, 3],
        [0x301_0000, 0x400_0000, 1], Self.ecam,
      ])
  }

  @Test func tablesAtTheFirmwaresPlace() throws {
    #expect(
      try entries(1 << 20, acpiTables: 0xE_0000..<0x10_0000) == [
        Self.low, [0x9_FC00, 0xE_0000, 2], [0xE_0000, 0x10_0000, 3], Self.ecam,
      ])
  }

  @Test(
    arguments: [
      0x400_0000..<0x400_1000, 0x3FF_F000..<0x400_1000, 0x1000..<0x1000, 0..<UInt64.max,
    ] as [Range<UInt64>])
  func tablesOutsideRAM(tables: Range<UInt64>) throws {
    #expect(throws: MachineError.self) {
      try E820Map(layout: layout(64 << 20), acpiTables: tables)
    }
  }

  @Test func removing() {
    let range: Range<UInt64> = 10..<20
    #expect(range.removing(0..<10) == [10..<20])
    #expect(range.removing(0..<11) == [11..<20])
    #expect(range.removing(12..<15) == [10..<12, 15..<20])
    #expect(range.removing(19..<99) == [10..<19])
    #expect(range.removing(0..<99) == [])
  }
}
