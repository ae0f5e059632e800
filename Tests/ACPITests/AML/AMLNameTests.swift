import Testing

@testable import ACPI

/// ACPI 6.3 §20.2.2.
struct AMLNameTests {
  @Test(arguments: [
    ("_CRS", "_CRS"), ("LPC", "LPC_"), ("A", "A___"), ("\\_SB", "\\_SB_"), ("^PCI0", "^PCI0"),
    ("^^X", "^^X___"), ("\\_SB.PCI0", "\\\u{2E}_SB_PCI0"), ("A.B", "\u{2E}A___B___"),
    ("A.B.C1", "\u{2F}\u{03}A___B___C1__"),
    ("\\_SB.PCI0.LPC.COM1", "\\\u{2F}\u{04}_SB_PCI0LPC_COM1"),
  ])
  func namesAreEncoded(text: String, expected: String) {
    #expect(AMLName(text).bytes == Array(expected.utf8))
  }

  @Test func wrongNamesTrap() async {
    await #expect(processExitsWith: .failure) { _ = AMLName("") }
    await #expect(processExitsWith: .failure) { _ = AMLName("ABCDE") }
    await #expect(processExitsWith: .failure) { _ = AMLName("1ABC") }
    await #expect(processExitsWith: .failure) { _ = AMLName("abc") }
    await #expect(processExitsWith: .failure) { _ = AMLName("A..B") }
    await #expect(processExitsWith: .failure) { _ = AMLName("^\\A") }
  }
}
