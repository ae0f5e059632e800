internal import MachineSpecification

extension LogFileSpec {
  private static let appendWord = "append"

  /// `FILE[,append]`.
  ///
  /// - Parameters:
  ///   - option: for messages.
  ///   - prefix: what came before the file in the option's value.
  init(
    parsing text: some StringProtocol, option: OptionDefinition, prefix: String = ""
  ) throws(UsageError) {
    let words = CommaList.split(text)
    guard let file = words.first, !file.isEmpty else {
      throw .missingValue(option: option.name, placeholder: "\(prefix)FILE")
    }
    for word in words.dropFirst() where word != Self.appendWord {
      throw .invalidValue(
        option: option.name,
        .unknown(word, choices: [Self.appendWord], part: "\(prefix)FILE,"))
    }
    self.init(file: file, appends: words.count > 1)
  }
}

/// A value of several words, as in `FILE,append`. Two commas stand for one within a word.
enum CommaList {
  /// At least one word.
  ///
  /// By scalars, as a mark that follows a comma, and may begin a name, would be one character with
  /// it.
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
}
