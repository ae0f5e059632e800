import TestSupport
import Testing

@testable import MachineSpecification

@Suite struct ArgumentTextTests {
  @Test(
    arguments: [
      ([], ""), (Array("--memory=1G".utf8), "--memory=1G"), (Array("é\u{10FFFD}".utf8), nil),
      (Array("e\u{301}\u{1F600}\r\n".utf8), "e\u{301}\u{1F600}\r\n"),
      ([0x66, 0xE9, 0x2E], "f\u{10FFE9}."),
      // Too long, a surrogate, beyond Unicode, cut off.
      ([0xC0, 0xAF], "\u{10FFC0}\u{10FFAF}"),
      ([0xED, 0xA0, 0x80], "\u{10FFED}\u{10FFA0}\u{10FF80}"),
      ([0xF4, 0x90, 0x80, 0x80], nil), ([0x61, 0xE2, 0x82], "a\u{10FFE2}\u{10FF82}"),
    ] as [([UInt8], String?)])
  func examples(bytes: [UInt8], text: String?) {
    let string = ArgumentText.string(from: bytes)
    if let text { #expect(Array(string.unicodeScalars) == Array(text.unicodeScalars)) }
    #expect(ArgumentText.bytes(of: string) == bytes)
  }

  /// Those who use the scalars that stand for bytes get them back, too.
  @Test func scalarsThatStandForBytes() {
    let bytes = Array("\u{10FFE9}".utf8)
    let string = ArgumentText.string(from: bytes)
    #expect(string != ArgumentText.string(from: [0xE9]))
    #expect(ArgumentText.bytes(of: string) == bytes)
  }

  @Test func anyBytesComeBack() {
    let seed: UInt64 = 0xA26
    var generator = SeededGenerator(seed: seed)
    // Parts of sequences are more likely than chance makes them.
    let pieces: [[UInt8]] = [
      [0xE9], [0xC3, 0xA9], [0xF4, 0x8F, 0xBF, 0xBF], [0xF4, 0x8F], [0xBC], [0x2F], [0xFF], [0x80],
    ]
    for round in 0..<2000 {
      let count = Int.random(in: 0...12, using: &generator)
      let bytes = (0..<count).flatMap { _ in pieces.randomElement(using: &generator)! }
      let isSame = ArgumentText.bytes(of: ArgumentText.string(from: bytes)) == bytes
      #expect(isSame, "seed \(seed), round \(round): \(bytes)")
    }
  }

  @Test func messagesShowTheBytes() {
    let text = ArgumentText.string(from: [0x61, 0xE9, 0x0A])
    #expect(QuotedText(text).description == #"'a\xE9\n'"#)
  }
}
