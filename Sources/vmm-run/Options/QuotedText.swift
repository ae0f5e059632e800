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
    let shown = String(String.UnicodeScalarView(text.unicodeScalars.prefix(Self.longest)))
    let rest = text.unicodeScalars.count > Self.longest ? "..." : ""
    return "'\(ArgumentText.printable(shown))\(rest)'"
  }
}
