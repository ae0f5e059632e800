import Testing

@testable import SMBIOS

@Suite struct SystemUUIDTests {
  private let text = "00112233-4455-6677-8899-aabbccddeeff"

  @Test func parsesAndPrints() throws {
    let uuid = try #require(SystemUUID(text))
    #expect(uuid.description == text)
    #expect(SystemUUID(text.uppercased()) == uuid)
    #expect(uuid.bytes.first == 0 && uuid.bytes.last == 0xFF)
  }

  @Test("SMBIOS 3.7 §7.2.1 has this very example")
  func wireOrder() throws {
    let bytes = try #require(SystemUUID(text)).wireBytes
    #expect(
      bytes == [
        0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE,
        0xFF,
      ])
  }

  @Test(arguments: [
    "", "00112233445566778899aabbccddeeff", "00112233-4455-6677-8899-aabbccddeef",
    "00112233-4455-6677-8899-aabbccddeefg", "{00112233-4455-6677-8899-aabbccddeeff}",
    "0011223-34455-6677-8899-aabbccddeeff", "+1112233-4455-6677-8899-aabbccddeeff",
    "00112233-4455-6677-8899-aabbccddee０f",
  ])
  func refuses(text: String) {
    #expect(SystemUUID(text) == nil)
  }

  @Test(
    "a name's UUID is the same each time, another name's is another, and RFC 9562 knows its kind")
  func naming() {
    let uuid = SystemUUID(naming: "/disks/a.img")
    #expect(uuid == SystemUUID(naming: "/disks/a.img"))
    #expect(uuid.description == "db2ed2d5-d2a8-8b35-af3f-ca1625114f1c")
    #expect(uuid != SystemUUID(naming: "/disks/b.img"))
    #expect(uuid.bytes[6] >> 4 == 8 && uuid.bytes[8] >> 6 == 0b10)
  }
}
