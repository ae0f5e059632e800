import Testing

@testable import ACPI

/// The tables as a parser that is not ours sees them: ACPICA, which Linux and others use.
@Suite(
  .enabled(if: ACPICA.isInstalled, "needs iasl and acpiexec, from the Debian package acpica-tools"),
  .timeLimit(.minutes(10)))
struct ACPICATests {
  /// The disassembler takes all tables but the RSDP.
  private static let disassembled = ACPITableID.allCases.filter { $0 != .rsdp }

  @Test(arguments: NamedPlatform.all, disassembled)
  func everyTableIsDisassembledAndCompiledToTheSameBytes(
    _ named: NamedPlatform, id: ACPITableID
  ) throws {
    let found = LinkedTables(named.platform).bySignature[id.rawValue]
    if id == .mcfg && named.platform.addresses.configurationSpace == nil
      || id == .tpm2 && named.platform.tpm == nil
    {
      #expect(found == nil)
      return
    }
    let acpica = try ACPICA()
    let table = try #require(found)
    try acpica.write(table, to: "table.dat")
    expectNoComplaint(try acpica.run(.compiler, "-d", "table.dat"))
    let source = try acpica.text(of: "table.dsl")
    for word in ["Warning", "Error", "Invalid", "Incorrect", "****"] {
      #expect(!source.contains(word), "\(word) in \(source)")
    }
    // Without optimizations, `\_SB` stays what it is.
    let outcome = try acpica.run(.compiler, "-oa", "-tc", "table.dsl")
    expectNoComplaint(outcome)
    // That the TPM's method makes a region costs time, says the compiler. There is no other way to
    // choose an address that Windows knows.
    let remarkCount = id == .dsdt && named.platform.tpm != nil ? 1 : 0
    #expect(
      outcome.text.contains("0 Errors, 0 Warnings, \(remarkCount) Remarks"), "\(outcome.text)")
    #expect(
      outcome.text.contains("Remark   2173") == (remarkCount == 1), "\(outcome.text)")
    #expect(withoutCreator(try acpica.bytes(of: "table.aml"), id) == withoutCreator(table, id))
  }

  @Test func rsdpIsWhatTheCompilerMakesOfItsFields() throws {
    let acpica = try ACPICA()
    let source = """
      [0008] Signature : "RSD PTR "
      [0001] Checksum : 00
      [0006] Oem ID : "VMMRUN"
      [0001] Revision : 02
      [0004] RSDT Address : 00000000
      [0004] Length : 00000024
      [0008] XSDT Address : 00000000000E0030
      [0001] Extended Checksum : 00
      [0003] Reserved : 000000

      """
    try acpica.write(Array(source.utf8), to: "rsdp.dsl")
    expectNoComplaint(try acpica.run(.compiler, "-tc", "rsdp.dsl"))
    #expect(try acpica.bytes(of: "rsdp.aml") == LinkedTables(NamedPlatform.usual.platform).rsdp)
  }

  /// What the DSDT must say in ASL, whatever bytes say it.
  @Test func dsdtNamesTheDevicesOfAPC() throws {
    let source = try disassembledDSDT(NamedPlatform.usual.platform)
    for text in [
      "Device (PCI0)", "EisaId (\"PNP0A08\")", "EisaId (\"PNP0A03\")",
      "Method (_OSC, 4, Serialized)", "ToUUID (\"33db4d5b-1ff7-401c-9657-7441c03dd766\")",
      "Device (LPC)", "Name (_ADR, 0x001F0000)", "Device (COM1)", "EisaId (\"PNP0501\")",
      "Device (KBD)", "EisaId (\"PNP0303\")", "Device (MOU)", "EisaId (\"PNP0F13\")",
      "Device (RTC)", "EisaId (\"PNP0B00\")", "Device (C000)", "Device (C001)", "\"ACPI0007\"",
      "Name (\\_S5, Package (0x04)", "0xC0000000,         // Range Minimum",
      "0xFBFFFFFF,         // Range Maximum", "0xB0000000,         // Address Base",
      "0x80000000,         // Range Minimum", "0xAFFFFFFF,         // Range Maximum",
      "0xFED1C000,         // Address Base", "0x00FF,             // Range Maximum",
      "0x0600,             // Range Minimum", "0x0510,             // Range Minimum",
      "Name (_HID, \"QEMU0002\")", "Name (_STA, 0x0B)",
    ] {
      #expect(source.contains(text), "\(text) not in \(source)")
    }
    #expect(source.occurrences(of: "EisaId (\"PNP0C02\")") == 2)
    #expect(source.occurrences(of: "WordIO (") == 2)
    for text in ["Device (C002)", "QWordMemory", "0x000A0000", "PNP0103"] {
      #expect(!source.contains(text), "\(text) in \(source)")
    }
  }

  @Test func dsdtOfTheLeastMachineHasNoLegacyDevice() throws {
    let source = try disassembledDSDT(NamedPlatform.least.platform)
    for text in [
      "COM1", "KBD", "MOU", "RTC", "IRQNoFlags", "0x0510", "QEMU0002", "DWordMemory", "QWordMemory",
      "0xB0000000", "0xFED1C000", "0xFED46000", "VGEN", "_GPE",
    ] {
      #expect(!source.contains(text), "\(text) in \(source)")
    }
  }

  @Test func dsdtOfTheMostHasEveryWindowAndProcessor() throws {
    let source = try disassembledDSDT(NamedPlatform.most.platform)
    for text in [
      "0x000A0000,         // Range Minimum", "0x000BFFFF,         // Range Maximum",
      "0xD0000000,         // Range Minimum", "0xEFFFFFFF,         // Range Maximum",
      "0x0000380000000000, // Range Minimum", "0x00003FFFFFFFFFFF, // Range Maximum",
      "0x0000080000000000, // Length", "0xC0000000,         // Address Base",
      "0x08000000,         // Address Length", "0x007F,             // Range Maximum",
      "0xB000,             // Range Minimum", "Name (_CID, \"VM_Gen_Counter\")",
      "0xFED46000,         // Address Base", "0x00001000,         // Address Length",
      "Scope (\\_GPE)", "Method (_E05, 0, NotSerialized)",
    ] {
      #expect(source.contains(text), "\(text) not in \(source)")
    }
    let words = source.split { $0.isWhitespace }.joined(separator: " ")
    #expect(words.contains("Name (ADDR, Package (0x02) { 0xFED46000, Zero })"))
    #expect(words.contains("Notify (\\_SB.VGEN, 0x80)"))
    #expect(source.occurrences(of: "\"ACPI0007\"") == NamedPlatform.most.platform.vcpuCount)
  }

  /// An ECAM that 32 bits cannot say is the motherboard's own, not a window of PCI.
  @Test func dsdtNamesAddressesAbove4GiB() throws {
    let source = try disassembledDSDT(NamedPlatform.highest.platform)
    for text in [
      "QWordMemory (ResourceConsumer", "0x0000000FFC000000, // Range Minimum",
      "0x0000000FFFFFFFFF, // Range Maximum", "0x0000000004000000, // Length",
      "0x003F,             // Range Maximum", "0xFF80,             // Range Minimum",
      "0xFFFFC000,         // Address Base",
    ] {
      #expect(source.contains(text), "\(text) not in \(source)")
    }
    #expect(source.occurrences(of: "QWordMemory (") == 1)
  }

  /// `_OSC` run by ACPICA's interpreter: control never granted, the status word as the
  /// specification has it.
  @Test(arguments: [
    ("control masked", "5B", 1, "1D", "10 00 00 00 1F 00 00 00 00 00 00 00"),
    ("no control asked", "5B", 1, "00", "00 00 00 00 1F 00 00 00 00 00 00 00"),
    ("unknown revision", "5B", 2, "00", "08 00 00 00 1F 00 00 00 00 00 00 00"),
    ("unknown UUID", "5C", 1, "1D", "04 00 00 00 1F 00 00 00 1D 00 00 00"),
  ])
  func featureControlIsNeverGranted(
    _ name: String, firstUUIDByte: String, revision: Int, control: String, answer: String
  ) throws {
    let acpica = try ACPICA()
    let tables = LinkedTables(NamedPlatform.usual.platform).bySignature
    try acpica.write(try #require(tables["DSDT"]), to: "dsdt.dat")
    let uuid = "(\(firstUUIDByte) 4D DB 33 F7 1F 1C 40 96 57 74 41 C0 3D D7 66)"
    let capabilities = "(00 00 00 00 1F 00 00 00 \(control) 00 00 00)"
    let outcome = try acpica.run(
      .interpreter, "-b", "evaluate \\_SB.PCI0._OSC \(uuid) \(revision) 3 \(capabilities)",
      "dsdt.dat")
    #expect(outcome.text.contains("0000: \(answer) "), "\(outcome.text)")
    #expect(!outcome.text.contains("AE_"), "\(outcome.text)")
  }

  /// The TPM's `_DSM` run by ACPICA's interpreter, whose memory has the same byte everywhere: an
  /// operation that is not there, one that is blocked, one that is allowed.
  @Test(arguments: [
    ("functions", 0, "presence", "1 0 []", "0000: FF 01 "),
    ("version", 0, "presence", "1 1 []", "\"1.3\""),
    ("missing", 0, "presence", "1 2 [5]", "[Integer] = 0000000000000001"),
    ("missing, with parameter", 0, "presence", "2 7 [23 4]", "[Integer] = 0000000000000001"),
    ("blocked", 2, "presence", "2 7 [23 4]", "[Integer] = 0000000000000003"),
    ("allowed", 4, "presence", "1 2 [5]", "[Integer] = 0000000000000000"),
    ("allowed, with parameter", 4, "presence", "2 7 [23 4]", "[Integer] = 0000000000000000"),
    ("way", 0, "presence", "1 4 []", "[Integer] = 0000000000000002"),
    ("language", 0, "presence", "1 6 [\"en\"]", "[Integer] = 0000000000000003"),
    ("status", 0x0C, "presence", "1 8 [5]", "[Integer] = 0000000000000004"),
    ("no such operation", 4, "presence", "1 8 [256]", "[Integer] = 0000000000000000"),
    ("no such function", 0, "presence", "1 9 []", "0000: 00 "),
    ("clearing", 0, "clearing", "1 0 []", "0000: 03 "),
    ("clearing asked", 0, "clearing", "1 1 [1]", "[Integer] = 0000000000000000"),
    ("unknown UUID", 0, "none", "1 0 []", "0000: 00 "),
  ])
  func physicalPresence(
    _ name: String, memory: Int, interface: String, arguments: String, answer: String
  ) throws {
    let uuid =
      switch interface {
      case "presence": "(A6 FA DD 3D 1B 36 B4 4E A4 24 8D 10 08 9D 16 53)"
      case "clearing": "(ED 54 60 37 13 CC 75 46 90 1C 47 56 D7 F2 D4 5D)"
      default: "(00 FA DD 3D 1B 36 B4 4E A4 24 8D 10 08 9D 16 53)"
      }
    let outcome = try evaluate("\\_SB.TPM._DSM \(uuid) \(arguments)", memory: memory)
    #expect(outcome.contains(answer), "\(outcome)")
  }

  /// The pending request, and the last one with its result: what the memory has.
  @Test(arguments: [
    ("1 3 []", 2), ("2 3 []", 3), ("1 5 []", 3),
  ])
  func requests(arguments: String, count: Int) throws {
    let uuid = "(A6 FA DD 3D 1B 36 B4 4E A4 24 8D 10 08 9D 16 53)"
    let outcome = try evaluate("\\_SB.TPM._DSM \(uuid) \(arguments)", memory: 4)
    #expect(outcome.contains("Contains \(count) Elements"), "\(outcome)")
    #expect(outcome.occurrences(of: "= 0000000004040404") == count - 1, "\(outcome)")
  }

  /// Of the DSDT of a machine with a TPM, in an interpreter whose memory has this byte everywhere.
  private func evaluate(_ expression: String, memory: Int) throws -> String {
    let acpica = try ACPICA()
    let tables = LinkedTables(NamedPlatform.most.platform).bySignature
    try acpica.write(try #require(tables["DSDT"]), to: "dsdt.dat")
    let outcome = try acpica.run(
      .interpreter, "-fv", "\(memory)", "-b", "evaluate \(expression)", "dsdt.dat")
    #expect(!outcome.text.contains("AE_"), "\(outcome.text)")
    return outcome.text
  }

  /// `_PRT` in ASL has one line with `Package (0x04)` per entry, besides that of `_S5`.
  @Test func interruptRoutingHas124Entries() throws {
    let source = try disassembledDSDT(NamedPlatform.usual.platform)
    #expect(source.contains("Name (_PRT, Package (0x7C)"))
    #expect(source.occurrences(of: "Package (0x04)") == 124 + 1)
    for device in 1...31 {
      let digits = String(device, radix: 16, uppercase: true)
      let address = "0x" + String(repeating: "0", count: 4 - digits.count) + digits + "FFFF,"
      #expect(source.occurrences(of: address) == 4, "\(address) in \(source)")
    }
  }

  private func disassembledDSDT(_ platform: ACPIPlatform) throws -> String {
    let acpica = try ACPICA()
    try acpica.write(try #require(LinkedTables(platform).bySignature["DSDT"]), to: "dsdt.dat")
    expectNoComplaint(try acpica.run(.compiler, "-d", "dsdt.dat"))
    return try acpica.text(of: "dsdt.dsl")
  }

  /// The compiler names itself as the creator, which changes the checksum; nothing else may differ.
  private func withoutCreator(_ table: [UInt8], _ id: ACPITableID) -> [UInt8] {
    guard id != .facs else { return table }
    var table = table
    table[9] = 0
    table.replaceSubrange(28..<36, with: [UInt8](repeating: 0, count: 8))
    return table
  }

  private func expectNoComplaint(_ outcome: ACPICA.Outcome) {
    #expect(outcome.status == 0, "\(outcome.text)")
    for line in outcome.text.split(separator: "\n") where !line.contains("0 Errors, 0 Warnings") {
      let words = line.lowercased()
      #expect(!words.contains("warning") && !words.contains("error"), "\(outcome.text)")
    }
  }
}

extension String {
  /// How often `text`, which is not empty, occurs.
  fileprivate func occurrences(of text: String) -> Int {
    split(separator: text, omittingEmptySubsequences: false).count - 1
  }
}
