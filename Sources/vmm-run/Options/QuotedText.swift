/// Text from the command line inside a message: quoted, shortened, and with control characters
/// escaped, so that no argument can move the cursor or split a one-line message.
struct QuotedText: CustomStringConvertible {
  private static let longest = 80
  private let text: String

  init(_ text: some StringProtocol) {
    self.text = String(text)
  }

  var description: String {
    var shown = "'"
    for scalar in text.unicodeScalars.prefix(Self.longest) {
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
