import TestSupport
import Testing

@testable import VMMCommand

@Suite struct EscapeFilterTests {
  /// Feeds the parts in turn, and joins input that only the split divided.
  private func events(_ parts: [[UInt8]]) -> [EscapeFilter.Event] {
    var filter = EscapeFilter()
    var events: [EscapeFilter.Event] = []
    for part in parts {
      for event in filter.process(part) {
        if case .input(let more) = event, case .input(let before)? = events.last {
          events[events.count - 1] = .input(before + more)
        } else {
          events.append(event)
        }
        if event == .quit { return events }
      }
    }
    return events
  }

  private static func bytes(_ text: String) -> [UInt8] {
    text.utf8.map { $0 == UInt8(ascii: "^") ? 1 : $0 }
  }

  /// `^` stands for Ctrl-A.
  @Test(
    arguments: [
      ("", []), ("abc", [.input(Array("abc".utf8))]), ("^", []), ("^x", [.quit]),
      ("^h", [.help]), ("a^ib", [.input([0x61]), .request(.status), .input([0x62])]),
      ("^^", [.input([1])]),
      (
        "^m^0^5^s",
        [.nextMedium(drive: nil), .nextMedium(drive: 0), .nextMedium(drive: 5), .screenshot].map {
          .request($0)
        }
      ), ("^6a", [.input([0x61])]),
      ("^^x", [.input([1, 0x78])]),
      ("^^^x", [.input([1]), .quit]), ("a^hb", [.input([0x61]), .help, .input([0x62])]),
      ("a^qb", [.input([0x61, 0x62])]), ("^x^h", [.quit]),
      ("ab^xcd", [.input([0x61, 0x62]), .quit]),
      ("^h^h", [.help, .help]), ("x^X", [.input([0x78])]), ("\u{3}^\u{3}", [.input([3])]),
      ("^^^^^h", [.input([1, 1]), .help]),
    ] as [(String, [EscapeFilter.Event])])
  func everySplit(text: String, expected: [EscapeFilter.Event]) {
    let bytes = Self.bytes(text)
    #expect(events([bytes]) == expected)
    #expect(events(bytes.map { [$0] }) == expected)
    for first in 0...bytes.count {
      for second in first...bytes.count {
        let parts = [bytes[..<first], bytes[first..<second], bytes[second...]].map { Array($0) }
        #expect(events(parts) == expected, "split at \(first) and \(second)")
      }
    }
  }

  @Test func randomSplitsChangeNothing() {
    var generator = SeededGenerator(seed: 4)
    for round in 0..<500 {
      let bytes = (0..<Int.random(in: 0...40, using: &generator)).map { _ in
        [1, 1, UInt8(ascii: "h"), UInt8(ascii: "a"), UInt8(ascii: "x")].randomElement(
          using: &generator)!
      }
      var parts: [[UInt8]] = [[]]
      for byte in bytes {
        if Bool.random(using: &generator) { parts.append([]) }
        parts[parts.count - 1].append(byte)
      }
      #expect(events(parts) == events([bytes]), "seed 4, round \(round): \(bytes)")
    }
  }
}
