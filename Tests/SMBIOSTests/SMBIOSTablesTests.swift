import Testing

@testable import SMBIOS

@Suite struct SMBIOSTablesTests {
  private static let uuid = SystemUUID(naming: "test")

  private func tables(vcpuCount: Int = 2, memory: [Range<UInt64>] = [0..<(1 << 30)]) -> SMBIOSTables
  {
    SMBIOSTables(
      SMBIOSPlatform(uuid: Self.uuid, vcpuCount: vcpuCount, memory: memory, version: "1.2"))
  }

  /// Structures by walking as a reader does: length, then texts up to two zeroes.
  private func structures(_ tables: SMBIOSTables) throws -> [(type: UInt8, bytes: [UInt8])] {
    var rest = tables.structures[...]
    var found: [(UInt8, [UInt8])] = []
    while rest.count >= 4 {
      let start = rest.startIndex
      let length = Int(rest[start + 1])
      var end = start + length
      while !(rest[end] == 0 && rest[end + 1] == 0) { end += 1 }
      found.append((rest[start], Array(rest[start..<(start + length)])))
      rest = rest[(end + 2)...]
    }
    try #require(rest.isEmpty)
    return found
  }

  @Test("the entry point adds up, and tells the structures' length")
  func entryPoint() {
    let tables = tables()
    #expect(tables.entryPoint.count == 24)
    #expect(tables.entryPoint.reduce(0, &+) == 0)
    #expect(Array(tables.entryPoint[0..<5]) == Array("_SM3_".utf8))
    #expect(Int(tables.entryPoint[12]) | Int(tables.entryPoint[13]) << 8 == tables.structures.count)
  }

  @Test("every structure has its specified length, and a handle of its own; the end comes last")
  func lengths() throws {
    let found = try structures(tables(memory: [0..<(2 << 30), (4 << 30)..<(8 << 30)]))
    let lengths: [UInt8: Int] = [
      0: 0x18, 1: 0x1B, 3: 0x16, 4: 0x30, 16: 0x17, 17: 0x28, 19: 0x1F, 32: 0x0B, 127: 4,
    ]
    for structure in found { #expect(structure.bytes.count == lengths[structure.type]) }
    #expect(found.map(\.type) == [0, 1, 3, 4, 16, 17, 19, 19, 32, 127])
    let handles = found.map { UInt16($0.bytes[2]) | UInt16($0.bytes[3]) << 8 }
    #expect(Set(handles).count == handles.count)
  }

  @Test("what the user calls the machine is in the system, the enclosure and the OEM strings")
  func texts() throws {
    var texts = SMBIOSTexts()
    for key in SMBIOSTexts.Key.allCases { texts[key] = "the \(key.rawValue)" }
    for text in ["one", String(repeating: "x", count: 255)] { texts.addOEMString(text) }
    let tables = SMBIOSTables(
      SMBIOSPlatform(
        uuid: Self.uuid, vcpuCount: 1, memory: [0..<(1 << 30)], version: "1", texts: texts))
    let found = try structures(tables)
    #expect(found.map(\.type) == [0, 1, 3, 4, 16, 17, 11, 19, 32, 127])
    let system = try #require(found.first { $0.type == 1 }).bytes
    #expect(Array(system[4..<8]) == [1, 2, 3, 4] && Array(system[0x19...]) == [5, 6])
    let enclosure = try #require(found.first { $0.type == 3 }).bytes
    #expect(Array(enclosure[4..<9]) == [1, 1, 0, 0, 2])
    #expect(try #require(found.first { $0.type == 11 }).bytes[4...] == [2])
    let handles = found.map { UInt16($0.bytes[2]) | UInt16($0.bytes[3]) << 8 }
    #expect(Set(handles).count == handles.count)
  }

  @Test(
    "texts that readers would not take as they are",
    arguments: [
      ("", false, false), ("a", true, true), (" a", false, false), ("a ", false, false),
      ("a b", true, true), ("\u{e9}", false, false), ("a\u{7f}", false, false),
      ("a\nb", false, false), (String(repeating: "x", count: 64), true, true),
      (String(repeating: "x", count: 65), false, true),
      (String(repeating: "x", count: 255), false, true),
      (String(repeating: "x", count: 256), false, false),
    ])
  func textRules(text: String, isText: Bool, isOEMText: Bool) {
    #expect(SMBIOSTexts.isText(text) == isText)
    #expect(SMBIOSTexts.isOEMText(text) == isOEMText)
  }

  @Test func systemHasTheUUID() throws {
    let system = try #require(try structures(tables()).first { $0.type == 1 })
    #expect(Array(system.bytes[8..<24]) == Self.uuid.wireBytes)
  }

  @Test("memory beyond what 15 bits of MiB hold goes to the extended size")
  func largeMemory() throws {
    let size: UInt64 = 64 << 30
    let found = try structures(tables(memory: [0..<size]))
    let device = try #require(found.first { $0.type == 17 }).bytes
    #expect(device[0x0C] == 0xFF && device[0x0D] == 0x7F)
    #expect(Array(device[0x1C..<0x20]) == [0, 0, 1, 0])
    let small = try #require(try structures(tables()).first { $0.type == 17 }).bytes
    #expect(Array(small[0x0C..<0x0E]) == [0, 4] && Array(small[0x1C..<0x20]) == [0, 0, 0, 0])
  }

  @Test("the processor's name and speed; none where none is known")
  func processor() throws {
    func tables(_ name: String, _ megahertz: UInt16) -> SMBIOSTables {
      SMBIOSTables(
        SMBIOSPlatform(
          uuid: Self.uuid, vcpuCount: 1, processorName: name, processorMegahertz: megahertz,
          memory: [0..<(1 << 30)], version: "1"))
    }
    let named = tables("A CPU\u{0} @ 3.20GHz\u{e9}", 3210)
    let processor = try #require(try structures(named).first { $0.type == 4 }).bytes
    // Texts: the socket, the manufacturer, the name.
    #expect(processor[0x10] == 3)
    #expect(Array(processor[0x14..<0x18]) == [0x8A, 0x0C, 0x8A, 0x0C])
    let text = Array("CPU 0\0vmm-run\0A CPU @ 3.20GHz\0\0".utf8)
    #expect(named.structures.indices.contains { named.structures[$0...].starts(with: text) })
    let unnamed = try #require(try structures(tables("\u{7}", 0)).first { $0.type == 4 }).bytes
    #expect(unnamed[0x10] == 0 && Array(unnamed[0x14..<0x18]) == [0, 0, 0, 0])
  }

  @Test(
    "the processor has as many cores as there are vCPUs, also beyond a byte",
    arguments: [1, 64, 300])
  func cores(count: Int) throws {
    let processor = try #require(try structures(tables(vcpuCount: count)).first { $0.type == 4 })
    #expect(Int(processor.bytes[0x23]) == min(count, 255))
    #expect(Int(processor.bytes[0x2A]) | Int(processor.bytes[0x2B]) << 8 == count)
  }
}
