import Testing

@testable import ACPI

/// The tables of a few fields each.
struct SmallTableTests {
  /// ACPI 6.3 table 5-27.
  @Test(arguments: [
    Field("Revision", at: 15, 1, 2), Field("RsdtAddress", at: 16, 4, 0),
    Field("Length", at: 20, 4, 36), Field("XsdtAddress", at: 24, 8, 0xE_0030),
    Field("Reserved", at: 33, 3, 0),
  ])
  func rsdp(_ field: Field) {
    let table = LinkedTables(NamedPlatform.usual.platform).rsdp
    #expect(field.value(in: table) == field.value)
    #expect(table.text(at: 0, byteCount: 8) == "RSD PTR ")
    #expect(table.text(at: 9, byteCount: 6) == "VMMRUN")
  }

  /// ACPI 6.3 table 5-39.
  @Test(arguments: [
    Field("Length", at: 4, 4, 64), Field("Hardware Signature", at: 8, 4, 0),
    Field("Firmware Waking Vector", at: 12, 4, 0), Field("Global Lock", at: 16, 4, 0),
    Field("Flags", at: 20, 4, 0), Field("X_Firmware_Waking_Vector", at: 24, 8, 0),
    Field("Version", at: 32, 1, 2), Field("Reserved", at: 33, 3, 0),
    Field("OSPM Flags", at: 36, 4, 0),
  ])
  func facs(_ field: Field) {
    let table = FACS.table().bytes
    #expect(field.value(in: table) == field.value)
    #expect(table.count == 64 && table[40...].allSatisfy { $0 == 0 })
    #expect(table.text(at: 0, byteCount: 4) == "FACS")
  }

  /// PCI Firmware Specification 3.0, tables 4-2 and 4-3.
  @Test(arguments: [
    Field("Revision", at: 8, 1, 1), Field("Reserved", at: 36, 8, 0),
    Field("Base Address", at: 44, 8, 0xB000_0000), Field("Segment Group", at: 52, 2, 0),
    Field("Start Bus", at: 54, 1, 0), Field("End Bus", at: 55, 1, 0xFF),
    Field("Reserved", at: 56, 4, 0),
  ])
  func mcfg(_ field: Field) throws {
    let space = try #require(NamedPlatform.usual.platform.addresses.configurationSpace)
    let table = MCFG.table(space).bytes
    #expect(table.count == 60)
    #expect(field.value(in: table) == field.value)
  }

  @Test func mcfgFollowsThePlatform() throws {
    let space = try #require(NamedPlatform.highest.platform.addresses.configurationSpace)
    let table = MCFG.table(space).bytes
    #expect(table.number(at: 44, byteCount: 8) == 0xF_FC00_0000)
    #expect(table.number(at: 54, byteCount: 2) == 0x3F00)
  }

  @Test func waetSaysThatTheTimerIsGood() {
    let table = WAET.table().bytes
    #expect(table.count == 40)
    #expect(table[8] == 1)
    #expect(table.number(at: 36, byteCount: 4) == 2)
  }

  @Test func dsdtHas64BitIntegers() {
    #expect(DSDT.table(NamedPlatform.usual.platform).bytes[8] >= 2)
  }

  /// TCG ACPI Specification 1.3, table 9.
  @Test(arguments: [
    Field("Length", at: 4, 4, 76), Field("Revision", at: 8, 1, 4),
    Field("Platform Class", at: 36, 2, 0), Field("Reserved", at: 38, 2, 0),
    Field("Address of CRB Control Area", at: 40, 8, 0xFED4_0040),
    Field("Start Method", at: 48, 4, 7), Field("Parameters", at: 52, 8, 0),
    Field("Parameters", at: 60, 4, 0), Field("LAML", at: 64, 4, 0x1_0000),
    Field("LASA", at: 68, 8, 0),
  ])
  func tpm2(_ field: Field) {
    let table = TPM2.table(ACPIPlatform.TPM()).bytes
    #expect(field.value(in: table) == field.value)
    #expect(table.count == 76)
    #expect(table.text(at: 0, byteCount: 4) == "TPM2")
  }
}
