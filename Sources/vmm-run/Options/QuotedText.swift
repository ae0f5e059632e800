/// Text from the command line inside a message: quoted, shortened, and with control characters
/// escaped, so that no argument can move the cursor or split a one-line message. Bytes that are no
/// UTF-8 are shown as `\xE9`.
struct QuotedText: CustomStringConvertible {
  private static let longest = 80
  private let text: String

  init(_ text: some StringProtocol) {
    self.text = String(text)
  }

  var description: String {
    var shown = "'"
    for scalar in text.unicodeScalars.prefix(Self.longest) {
      if let byte = ArgumentText.byte(of: scalar) {
        // One that is no UTF-8, and so 0x80 at least: two digits.
        shown += "\\x" + String(byte, radix: 16, uppercase: true)
        continue
      }
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator:
        shown += scalar.escaped(asASCII: true)
      default:
        shown.unicodeScalars.append(scalar)
      }
    }
    return shown + (text.unicodeScalars.count > Self.longest ? "...'" : "'")
  }
}
