import Bytes
import Testing

@testable import ACPI

/// ACPI 6.3 §20.2.3, §20.2.5.
struct AMLTermTests {
  @Test(
    arguments: [
      (0, [0x00]), (1, [0x01]), (2, [0x0A, 0x02]), (0xFF, [0x0A, 0xFF]),
      (0x100, [0x0B, 0x00, 0x01]), (0xFFFF, [0x0B, 0xFF, 0xFF]),
      (0x1_0000, [0x0C, 0, 0, 1, 0]), (0xFFFF_FFFF, [0x0C, 0xFF, 0xFF, 0xFF, 0xFF]),
      (0x1_0000_0000, [0x0E, 0, 0, 0, 0, 1, 0, 0, 0]),
      (UInt64.max, [0x0E, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
    ] as [(UInt64, [UInt8])])
  func integersTakeTheirShortestForm(value: UInt64, expected: [UInt8]) {
    #expect(AMLTerm.integer(value).bytes == expected)
  }

  @Test(
    arguments: [
      ("PNP0A03", 0x030A_D041), ("PNP0A08", 0x080A_D041), ("PNP0C02", 0x020C_D041),
      ("PNP0501", 0x0105_D041), ("ZZZFFFF", 0xFFFF_5A6B), ("AAA0000", 0x0000_2104),
    ] as [(String, UInt32)])
  func eisaIDsArePacked(text: String, expected: UInt32) {
    #expect(EISAID(text).rawValue == expected)
    #expect(AMLTerm.eisaID(EISAID(text)).bytes == [0x0C] + expected.littleEndianBytes)
  }

  @Test func dataIsEncoded() {
    #expect(AMLTerm.string("AB").bytes == [0x0D, 0x41, 0x42, 0])
    #expect(AMLTerm.buffer([7, 8]).bytes == [0x11, 5, 0x0A, 2, 7, 8])
    #expect(AMLTerm.buffer([]).bytes == [0x11, 2, 0])
    #expect(AMLTerm.package([.integer(0), .integer(5)]).bytes == [0x12, 5, 2, 0, 0x0A, 5])
    #expect(AMLTerm.resourceTemplate([]).bytes == [0x11, 5, 0x0A, 2, 0x79, 0])
  }

  @Test func objectsAreEncoded() {
    let name: [UInt8] = Array("ABCD".utf8)
    #expect(AMLTerm.name("ABCD", .integer(1)).bytes == [0x08] + name + [1])
    #expect(AMLTerm.scope("ABCD", []).bytes == [0x10, 5] + name)
    #expect(AMLTerm.device("ABCD", []).bytes == [0x5B, 0x82, 5] + name)
    #expect(AMLTerm.method("ABCD", argumentCount: 3, []).bytes == [0x14, 6] + name + [3])
    #expect(
      AMLTerm.method("ABCD", argumentCount: 7, isSerialized: true, [.return(.argument(6))]).bytes
        == [0x14, 8] + name + [0x0F, 0xA4, 0x6E])
  }

  @Test func statementsAreEncoded() {
    let name: [UInt8] = Array("ABCD".utf8)
    #expect(AMLTerm.reference("ABCD").bytes == name)
    #expect(AMLTerm.store(.integer(0), in: .argument(0)).bytes == [0x70, 0, 0x68])
    #expect(
      AMLTerm.or(.argument(0), .integer(1), in: .argument(1)).bytes == [0x7D, 0x68, 1, 0x69])
    #expect(AMLTerm.not(.equal(.argument(2), .integer(0))).bytes == [0x92, 0x93, 0x6A, 0])
    #expect(AMLTerm.if(.integer(1), [.return(.integer(0))]).bytes == [0xA0, 4, 1, 0xA4, 0])
    #expect(AMLTerm.else([.return(.integer(0))]).bytes == [0xA1, 3, 0xA4, 0])
    #expect(
      AMLTerm.createDWordField(.argument(3), byteOffset: 8, "ABCD").bytes
        == [0x8A, 0x6B, 0x0A, 8] + name)
  }

  @Test func wrongTermsTrap() async {
    await #expect(processExitsWith: .failure) {
      _ = AMLTerm.package(Array(repeating: .integer(0), count: 256))
    }
    await #expect(processExitsWith: .failure) { _ = AMLTerm.string("\u{E4}") }
    await #expect(processExitsWith: .failure) { _ = AMLTerm.argument(7) }
    await #expect(processExitsWith: .failure) { _ = AMLTerm.method("A", argumentCount: 8, []) }
    await #expect(processExitsWith: .failure) { _ = EISAID("PNP0A0") }
    await #expect(processExitsWith: .failure) { _ = EISAID("pnp0A03") }
  }
}
