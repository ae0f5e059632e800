import Testing

@testable import ACPI

/// The script for firmware, run as OVMF runs it.
@Suite struct TableLoaderTests {
  /// Memory of a firmware that puts each file at an address of its own.
  private struct Firmware {
    static let addresses: [String: UInt64] = [
      TableLoader.rsdpFileName: 0xF_5AC0, TableLoader.tablesFileName: 0x7F77_8000,
      TableLoader.eventLogFileName: 0x7F5A_0000,
    ]
    var files: [String: [UInt8]]
    /// By file and offset, what a pointer was added to.
    var pointees: [(file: String, offset: UInt64)] = []
    var allocated: Set<String> = []

    mutating func run(_ command: [UInt8]) throws {
      func name(_ offset: Int) -> String {
        String(decoding: command[offset..<(offset + 56)].prefix { $0 != 0 }, as: UTF8.self)
      }
      func number(_ offset: Int) -> Int {
        command[offset..<(offset + 4)].reversed().reduce(0) { $0 << 8 | Int($1) }
      }
      let file = name(4)
      switch number(0) {
      case 1:
        let address = try #require(Self.addresses[file])
        #expect(address % UInt64(number(60)) == 0)
        #expect(allocated.insert(file).inserted)
      case 2:
        let target = name(60)
        #expect(allocated.isSuperset(of: [file, target]))
        let offset = number(116)
        let byteCount = Int(command[120])
        let range = offset..<(offset + byteCount)
        let old = try #require(files[file])[range].reversed().reduce(UInt64(0)) {
          $0 << 8 | UInt64($1)
        }
        pointees.append((target, old))
        let new = old + (try #require(Self.addresses[target]))
        for index in 0..<byteCount {
          files[file]?[offset + index] = UInt8(truncatingIfNeeded: new >> (8 * UInt64(index)))
        }
      case 3:
        let place = number(60)
        let start = number(64)
        let bytes = try #require(files[file])[start..<(start + number(68))]
        #expect(files[file]?[place] == 0, "or the sum would be wrong")
        files[file]?[place] = 0 &- bytes.reduce(0, &+)
      default:
        Issue.record("command \(number(0))")
      }
    }
  }

  private func run(_ tables: ACPITables) throws -> Firmware {
    let loader = TableLoader(tables)
    var firmware = Firmware(files: [
      TableLoader.rsdpFileName: loader.rsdp, TableLoader.tablesFileName: loader.tables,
    ])
    #expect(loader.commands.count % 128 == 0)
    for start in stride(from: 0, to: loader.commands.count, by: 128) {
      try firmware.run(Array(loader.commands[start..<(start + 128)]))
    }
    return firmware
  }

  @Test(
    "the linked tables are those of a direct boot at the same addresses",
    arguments: NamedPlatform.all)
  func sameTables(_ named: NamedPlatform) throws {
    let tables = ACPITables(named.platform)
    let firmware = try run(tables)
    let blob = try #require(firmware.files[TableLoader.tablesFileName])
    let base = try #require(Firmware.addresses[TableLoader.tablesFileName])
    var offsets: [ACPITableID: Int] = [:]
    var end = 0
    for table in tables.tables where table.id != .rsdp {
      offsets[table.id] = (end + table.id.alignment - 1) / table.id.alignment * table.id.alignment
      end = try #require(offsets[table.id]) + table.bytes.count
    }
    for table in tables.tables {
      let expected = table.linked { base + UInt64(offsets[$0] ?? 0) }.bytes
      if let offset = offsets[table.id] {
        #expect(Array(blob[offset..<(offset + expected.count)]) == expected, "\(table.id)")
      } else {
        #expect(firmware.files[TableLoader.rsdpFileName] == expected)
      }
    }
  }

  @Test("each table is pointed at, or firmware would not install it")
  func everyTableIsFound() throws {
    let tables = ACPITables(NamedPlatform.usual.platform)
    let firmware = try run(tables)
    let blob = try #require(firmware.files[TableLoader.tablesFileName])
    let found = Set(
      firmware.pointees.map { pointee in
        String(decoding: blob[Int(pointee.offset)..<(Int(pointee.offset) + 4)], as: UTF8.self)
      })
    #expect(
      found
        == Set(ACPITableID.allCases.map(\.rawValue)).subtracting(["RSDP"]).subtracting([""])
        .subtracting(["RSD ", "TPM2"]))
  }

  @Test("a TPM's log has memory of its own, which its table names")
  func eventLog() throws {
    let platform = ACPIPlatform(
      vcpuCount: 1, addresses: .usual, legacyDevices: [], tpm: ACPIPlatform.TPM())
    let tables = ACPITables(platform)
    let firmware = try run(tables)
    #expect(firmware.allocated.contains(TableLoader.eventLogFileName))
    let blob = try #require(firmware.files[TableLoader.tablesFileName])
    let start = try #require(
      firmware.pointees.map { Int($0.offset) }.first {
        Array(blob[$0..<($0 + 4)]) == Array("TPM2".utf8)
      })
    let table = Array(blob[start..<(start + 76)])
    #expect(table.number(at: 64, byteCount: 4) == 0x1_0000)
    #expect(table.number(at: 68, byteCount: 8) == 0x7F5A_0000)
    #expect(table.wrappingSum == 0)
    // Without one there is nothing to allocate.
    let other = ACPIPlatform(
      vcpuCount: 1, addresses: .usual, legacyDevices: [],
      tpm: ACPIPlatform.TPM(eventLogByteCount: 0))
    #expect(try !run(ACPITables(other)).allocated.contains(TableLoader.eventLogFileName))
  }
}
