/// A value of several words, as in `FILE,append`. Two commas stand for one within a word.
///
/// It is read by scalars, as a mark that follows a comma or an equals sign, and may begin a name,
/// would be one character with it.
enum CommaList {
  /// At least one word.
  static func split(_ text: some StringProtocol) -> [String] {
    var words = [String.UnicodeScalarView()]
    var rest = text.unicodeScalars[...]
    while let scalar = rest.popFirst() {
      if scalar != "," {
        words[words.count - 1].append(scalar)
      } else if rest.first == "," {
        words[words.count - 1].append(rest.removeFirst())
      } else {
        words.append(String.UnicodeScalarView())
      }
    }
    return words.map { String($0) }
  }

  /// `KEY=VALUE` apart, at the first equals sign; no value if there is none.
  static func pair(_ word: String) -> (key: String, value: String?) {
    let parts = word.unicodeScalars.split(
      separator: "=", maxSplits: 1, omittingEmptySubsequences: false
    ).map { String($0) }
    return (parts[0], parts.count == 2 ? parts[1] : nil)
  }
}
