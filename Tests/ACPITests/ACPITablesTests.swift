import Testing

@testable import ACPI

/// All tables together: headers, checksums, places and pointers.
struct ACPITablesTests {
  private static let addresses: [UInt64] = [0, 0x40, 0xE_0000, 0x7FFF_0000, 0xF000_0000]

  @Test(arguments: NamedPlatform.all, addresses)
  func checksumsSumToZero(_ named: NamedPlatform, address: UInt64) {
    let tables = LinkedTables(named.platform, at: address).bySignature
    for (signature, table) in tables where signature != "FACS" {
      #expect(table.wrappingSum == 0, "\(signature)")
    }
    #expect(tables["RSDP"].map { Array($0[..<20]).wrappingSum } == 0)
  }

  @Test(arguments: NamedPlatform.all)
  func headersAreComplete(_ named: NamedPlatform) {
    for (signature, table) in LinkedTables(named.platform).bySignature
    where signature != "RSDP" && signature != "FACS" {
      #expect(table.text(at: 0, byteCount: 4) == signature)
      #expect(table.number(at: 4, byteCount: 4) == UInt64(table.count))
      #expect(table.text(at: 10, byteCount: 6) == "VMMRUN")
      #expect(table.text(at: 16, byteCount: 8) == "VMMRUN  ")
      #expect(table.number(at: 24, byteCount: 4) == 1)
      #expect(table.text(at: 28, byteCount: 4) == "VMMR")
      #expect(table.number(at: 32, byteCount: 4) == 1)
    }
  }

  @Test(arguments: NamedPlatform.all, addresses)
  func everyTableIsReachedFromTheRSDP(_ named: NamedPlatform, address: UInt64) throws {
    let tables = ACPITables(named.platform)
    let linked = LinkedTables(named.platform, at: address)
    #expect(tables.rsdpAddress(at: address) == address)
    #expect(linked.blob.count == tables.byteCount)
    let hasECAM = named.platform.addresses.configurationSpace != nil
    #expect(
      linked.listed.map { $0.text(at: 0, byteCount: 4) }
        == ["FACP", "APIC"] + (hasECAM ? ["MCFG"] : []) + ["WAET"]
        + (named.platform.tpm == nil ? [] : ["TPM2"]))
    let expected = Set(ACPITableID.allCases.map(\.rawValue)).subtracting(hasECAM ? [] : ["MCFG"])
      .subtracting(named.platform.tpm == nil ? ["TPM2"] : [])
    #expect(Set(linked.bySignature.keys) == expected)
    let fadt = try #require(linked.bySignature["FACP"])
    let facs = fadt.number(at: 36, byteCount: 4)
    #expect(linked.table(at: facs).text(at: 0, byteCount: 4) == "FACS")
    #expect(facs % 64 == 0)
    let dsdt = fadt.number(at: 140, byteCount: 8)
    #expect(linked.table(at: dsdt).text(at: 0, byteCount: 4) == "DSDT")
    #expect(fadt.number(at: 40, byteCount: 4) == dsdt)
  }

  @Test func tablesDoNotOverlap() {
    let tables = ACPITables(NamedPlatform.most.platform)
    let linked = LinkedTables(NamedPlatform.most.platform)
    let byteCount = linked.bySignature.values.reduce(0) { $0 + $1.count }
    // What is no table's is filling before the next one's alignment.
    #expect(tables.byteCount >= byteCount)
    #expect(tables.byteCount < byteCount + 64 + 16 * ACPITableID.allCases.count)
    #expect(
      tables.tables.map { $0.bytes.count }
        == tables.tables.map {
          linked.bySignature[$0.id.rawValue]?.count
        })
  }

  /// What a firmware's loader gets: pointers and checksums are where it will put values.
  @Test(arguments: NamedPlatform.all)
  func unlinkedPiecesBecomeTheBlob(_ named: NamedPlatform) throws {
    let tables = ACPITables(named.platform)
    var expected = Set(ACPITableID.allCases)
    if named.platform.addresses.configurationSpace == nil { expected.remove(.mcfg) }
    if named.platform.tpm == nil { expected.remove(.tpm2) }
    let ids = tables.tables.map(\.id)
    #expect(Set(ids) == expected)
    #expect(ids.count == expected.count)
    let linked = LinkedTables(named.platform, at: 0x123_4000).bySignature
    for table in tables.tables {
      var bytes = table.bytes
      for checksum in table.checksums {
        #expect(Array(bytes[..<checksum.coveredByteCount]).wrappingSum == 0, "\(table.id)")
      }
      // All that linking may change.
      var expected = try #require(linked[table.id.rawValue])
      for pointer in table.pointers {
        #expect(bytes.number(at: pointer.byteOffset, byteCount: pointer.byteCount) == 0)
        #expect(expected.number(at: pointer.byteOffset, byteCount: pointer.byteCount) != 0)
        expected.replaceSubrange(
          pointer.byteOffset..<(pointer.byteOffset + pointer.byteCount),
          with: [UInt8](repeating: 0, count: pointer.byteCount))
      }
      for checksum in table.checksums {
        bytes[checksum.byteOffset] = 0
        expected[checksum.byteOffset] = 0
      }
      #expect(bytes == expected, "\(table.id)")
    }
  }

  @Test func pointersAreThoseOfTheSpecification() {
    let tables = ACPITables(NamedPlatform.usual.platform).tables
    let pointers = tables.map { table in
      (table.id, table.pointers.map { "\($0.byteOffset)/\($0.byteCount) \($0.target.rawValue)" })
    }
    for (id, found) in pointers {
      switch id {
      case .rsdp: #expect(found == ["24/8 XSDT"])
      case .xsdt: #expect(found == ["36/8 FACP", "44/8 APIC", "52/8 MCFG", "60/8 WAET"])
      case .fadt: #expect(found == ["36/4 FACS", "40/4 DSDT", "140/8 DSDT"])
      default: #expect(found == [])
      }
    }
  }

  /// The last place below 4 GiB, which 32-bit pointers reach, and the one after it.
  @Test func blobEndsBy4GiB() async {
    let tables = ACPITables(NamedPlatform.usual.platform)
    let last = (1 << 32 - UInt64(tables.byteCount)) / 64 * 64
    #expect(tables.blob(at: last).count == tables.byteCount)
    await #expect(processExitsWith: .failure) {
      let tables = ACPITables(NamedPlatform.usual.platform)
      _ = tables.blob(at: (1 << 32 - UInt64(tables.byteCount)) / 64 * 64 + 64)
    }
    await #expect(processExitsWith: .failure) {
      _ = ACPITables(NamedPlatform.usual.platform).blob(at: 0xE_0010)
    }
  }

  @Test func anOrdinaryMachineFitsBelow1MiB() {
    let platform = ACPIPlatform(vcpuCount: 255, legacyDevices: .all)
    #expect(ACPITables(platform).byteCount <= 0x2_0000)
  }
}
