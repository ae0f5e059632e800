import TestSupport
import Testing

@testable import MachineSpecification

@Suite struct ByteCountTests {
  @Test(
    arguments: [
      ("1", 1), ("4096", 4096), ("64K", 64 << 10), ("512M", 512 << 20), ("4G", 4 << 30),
      ("1T", 1 << 40), ("1GiB", 1 << 30), ("3kib", 3 << 10), ("7MIB", 7 << 20), ("2TiB", 2 << 40),
      ("007k", 7 << 10), ("18446744073709551615", .max),
      ("18014398509481983K", 18_014_398_509_481_983 << 10), ("16777215T", 16_777_215 << 40),
    ] as [(String, UInt64)])
  func parses(text: String, bytes: UInt64) throws {
    #expect(try ByteCount(parsing: text).bytes == bytes)
  }

  @Test(arguments: [
    ("", "a size is missing; write for example 512M or 4G"),
    ("abc", "'abc' is not a size; write for example 512M or 4G"),
    ("-1G", "'-1G' is not a size; write for example 512M or 4G"),
    (" 1G", "' 1G' is not a size; write for example 512M or 4G"),
    ("+1G", "'+1G' is not a size; write for example 512M or 4G"),
    ("M", "'M' is not a size; write for example 512M or 4G"),
    ("٣G", "'٣G' is not a size; write for example 512M or 4G"),
    ("1.5G", "'1.5G' has a fraction; write a smaller unit, for example 1536M for 1.5 GiB"),
    ("1,5G", "'1,5G' has a fraction; write a smaller unit, for example 1536M for 1.5 GiB"),
    ("1GB", "'1GB' could mean units of 1000 or of 1024; write 1G or 1GiB for 1024"),
    ("64kb", "'64kb' could mean units of 1000 or of 1024; write 64K or 64KiB for 1024"),
    (
      "5X", "'5X' has the unknown unit 'X'; units are K, M, G and T, or KiB, MiB, GiB and TiB"
    ),
    (
      "1 G", "'1 G' has the unknown unit ' G'; units are K, M, G and T, or KiB, MiB, GiB and TiB"
    ),
    (
      "0x10", "'0x10' has the unknown unit 'x10'; units are K, M, G and T, or KiB, MiB, GiB and TiB"
    ),
    ("0", "'0' is no memory at all; write for example 512M or 4G"),
    ("0G", "'0G' is no memory at all; write for example 512M or 4G"),
    (
      "16777216T",
      "'16777216T' is too large; the largest size has 64 bits, just below 16777216T"
    ),
    (
      "18446744073709551616",
      "'18446744073709551616' is too large; the largest size has 64 bits, just below 16777216T"
    ),
    (
      "18014398509481984K",
      "'18014398509481984K' is too large; the largest size has 64 bits, just below 16777216T"
    ),
  ])
  func refuses(text: String, message: String) {
    let error = #expect(throws: ByteCountError.self) { try ByteCount(parsing: text) }
    #expect(error?.description == message)
  }

  @Test(
    arguments: [
      (0, "0 bytes"), (1, "1 byte"), (1023, "1023 bytes"), (1024, "1 KiB"), (1025, "1.0 KiB"),
      (1536, "1.5 KiB"), (512 << 20, "512 MiB"), (1 << 30, "1 GiB"), (13_002_342, "12.4 MiB"),
      ((1 << 20) - 1, "1.0 MiB"), ((1 << 30) - (1 << 10), "1.0 GiB"), (1 << 40, "1 TiB"),
      (1 << 50, "1 PiB"), (1 << 60, "1 EiB"), (.max, "16.0 EiB"), (1019 << 20, "1019 MiB"),
    ] as [(UInt64, String)])
  func describes(bytes: UInt64, text: String) {
    #expect(ByteCount(bytes).description == text)
  }

  @Test(
    arguments: [
      (0, "0"), (5000, "5000"), (4096, "4K"), (1536 << 20, "1536M"), (1 << 30, "1G"),
      (1 << 40, "1T"),
      (.max, "18446744073709551615"),
    ] as [(UInt64, String)])
  func writesAsAnOption(bytes: UInt64, text: String) throws {
    #expect(ByteCount(bytes).optionText == text)
    if bytes > 0 { #expect(try ByteCount(parsing: text).bytes == bytes) }
  }

  @Test func optionTextLosesNothing() throws {
    var generator = SeededGenerator(seed: 7)
    for _ in 0..<2000 {
      let shift = UInt64.random(in: 0..<64, using: &generator)
      let bytes = max(1, generator.next() >> shift)
      let text = ByteCount(bytes).optionText
      #expect(try ByteCount(parsing: text).bytes == bytes, "seed 7: \(bytes)")
    }
  }
}
