import Testing

@testable import VMMCommand

@Suite struct DecimalTextTests {
  @Test(arguments: [
    (0, "0"), (999, "999"), (1000, "1,000"), (260_864, "260,864"), (1_234_567, "1,234,567"),
    (UInt64.max, "18,446,744,073,709,551,615"),
  ])
  func grouped(number: UInt64, text: String) {
    #expect(DecimalText.grouped(number) == text)
  }

  @Test(arguments: [
    (0.0, 2, "0.00"), (0.005, 2, "0.01"), (1.25, 1, "1.3"), (99.999, 2, "100.00"), (7.0, 0, "7"),
    (-0.5, 1, "-0.5"), (-0.001, 2, "0.00"), (.nan, 2, "-"), (.infinity, 2, "-"), (1e30, 0, "-"),
  ])
  func fixed(number: Double, decimals: Int, text: String) {
    #expect(DecimalText.fixed(number, decimals: decimals) == text)
  }

  @Test(
    arguments: [
      (0, 100, "0.0 %"), (100, 100, "100.0 %"), (1, 1_000_000, "< 0.1 %"), (1, 0, "-"),
      (999_999, 1_000_000, "99.9 %"), (1, 3, "33.3 %"), (3, 2, "150.0 %"),
    ] as [(UInt64, UInt64, String)])
  func percent(part: UInt64, whole: UInt64, text: String) {
    #expect(DecimalText.percent(part, of: whole) == text)
  }

  @Test func tableAligns() {
    var table = TextTable([.left, .right, .left])
    table.add("a", "1", "x")
    table.addRule()
    table.add("bcd", "1000")
    #expect(
      table.text() == """
          a       1  x
          ---  ----  -
          bcd  1000

        """)
  }
}
