import FoundationEssentials
import TestSupport
import Testing

@testable import MachineSpecification

/// JSON as bytes, against RFC 8259 and another reader.
@Suite struct JSONParserTests {
  private func failure(_ bytes: [UInt8]) -> String? {
    do throws(JSONError) {
      _ = try JSONParser.parse(bytes)
      return nil
    } catch {
      return error.description
    }
  }

  @Test(
    "values",
    arguments: [
      ("null", .null), (" true\n", .flag(true)), ("false", .flag(false)), ("0", .integer(0)),
      ("-0", .integer(0)), ("-12", .integer(-12)), ("8192.0", .integer(8192)),
      ("1e3", .integer(1000)), ("25E-1", .number(2.5)), ("1.5e+2", .integer(150)),
      ("9223372036854775807", .integer(.max)), ("9223372036854775808", .number(0x1p63)),
      (#""""#, .text("")), (#""aäß€😀""#, .text("aäß€😀")),
      (#""\"\\\/\b\f\n\r\t\u0041\u20aC""#, .text("\"\\/\u{8}\u{C}\n\r\tA€")),
      (#""\ud83D\uDE00\udbff\udfe9""#, .text("😀\u{10FFE9}")),
      ("[]", .array([])), ("[ 1 , [] ]", .array([.integer(1), .array([])])), ("{}", .object([])),
      (
        #"{"b" : 1,"a":{ },"b":2}"#,
        .object([
          .init(name: "b", value: .integer(1)), .init(name: "a", value: .object([])),
          .init(name: "b", value: .integer(2)),
        ])
      ), ("\u{FEFF}1", .integer(1)),
    ] as [(String, JSONValue)])
  func values(text: String, expected: JSONValue) throws {
    #expect(try JSONParser.parse(Array(text.utf8)) == expected)
  }

  @Test(
    "what is wrong, and where",
    arguments: [
      ("", 1, 1, "a value is missing"), ("{", 1, 2, "the name of a member is missing"),
      ("{\n \"a\" 1}", 2, 6, "a colon is missing"),
      ("{\"a\": 1\n", 2, 1, "a comma or } is missing"),
      ("{\"a\": 1,}", 1, 9, "the name of a member is missing"),
      ("[1,]", 1, 4, "a value is missing"), ("[1 2]", 1, 4, "a comma or ] is missing"),
      ("nul", 1, 1, "a value is missing"), ("1 1", 1, 3, "something follows its end"),
      ("01", 1, 3, "a number begins with 0"), ("-", 1, 1, "a value is missing"),
      ("1.", 1, 3, "a digit is missing"), ("1e+", 1, 4, "a digit is missing"),
      ("-1e400", 1, 7, "a number is out of range"),
      ("\"a", 1, 3, "the end of a text is missing"),
      ("\"a\u{1}\"", 1, 3, "a control character within a text"),
      ("\"\\x\"", 1, 4, "an unknown escape within a text"),
      ("\"\\u12g4\"", 1, 4, "four digits are missing"),
      ("\"\\u+123", 1, 4, "four digits are missing"),
      ("\"\\ud800\"", 1, 8, "half a surrogate pair"),
      ("\"\\udc00\\ud800\"", 1, 8, "half a surrogate pair"), ("'a'", 1, 1, "a value is missing"),
    ])
  func wrong(text: String, line: Int, column: Int, problem: String) {
    #expect(
      failure(Array(text.utf8)) == "is not JSON: line \(line), column \(column): \(problem)")
  }

  @Test("another encoding is named, with what to do")
  func encodings() {
    #expect(
      failure(Array("{\n\"a\": \"".utf8) + [0xE9] + Array("\"}".utf8))
        == "is not UTF-8: line 2 has the byte 0xe9; save the file as UTF-8, and write such a byte of"
        + " a file's name as \\udbff\\udfe9")
    // UTF-16, as some editors write it.
    #expect(
      failure([0xFF, 0xFE, 0x7B, 0])?.hasPrefix("is not UTF-8: line 1 has the byte 0xff") == true)
  }

  @Test func levelsAreBounded() {
    let text = String(repeating: "[", count: 1 << 20)
    #expect(failure(Array(text.utf8)) == "is not JSON: line 1, column 65: more than 64 levels")
  }

  @Test("what it takes another reader takes, and the other way round")
  func anyText() {
    var generator = SeededGenerator(seed: 15)
    let pieces = [
      "{", "}", "[", "]", ",", ":", "\"a\"", "\"\\u0041\"", "1", "-2.5", "1e3", "true", "null", " ",
    ]
    for round in 0..<20_000 {
      let text = (0..<Int.random(in: 1...7, using: &generator)).map { _ in
        pieces.randomElement(using: &generator)!
      }.joined()
      let other = try? JSONDecoder().decode(JSONValue.self, from: Data(text.utf8))
      // The other one takes a comma behind the last value of some lists.
      let plain = text.filter { $0 != " " }
      if failure(Array(text.utf8)) != nil, plain.contains(",]") || plain.contains(",}") { continue }
      #expect((failure(Array(text.utf8)) == nil) == (other != nil), "seed 15, \(round): \(text)")
    }
  }
}
