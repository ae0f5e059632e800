/// A file to which a run adds line after line, as options name it: `FILE[,append]`.
struct LogFileOption: Hashable, Sendable {
  private static let appendWord = "append"

  var path: String
  /// Whether what is there stays; else the file is emptied when the machine is made.
  var appends: Bool

  init(path: String, appends: Bool = false) {
    self.path = path
    self.appends = appends
  }

  /// - Parameters:
  ///   - option: for messages.
  ///   - prefix: what came before the file in the option's value.
  init(
    parsing text: some StringProtocol, option: OptionDefinition, prefix: String = ""
  ) throws(UsageError) {
    let words = CommaList.split(text)
    guard let path = words.first, !path.isEmpty else {
      throw .missingValue(option: option.name, placeholder: "\(prefix)FILE")
    }
    for word in words.dropFirst() where word != Self.appendWord {
      let choices = [Self.appendWord]
      throw .unknownChoice(
        option: "\(option.name) \(prefix)FILE,", word, choices: choices,
        nearest: NearestName.nearest(to: word, among: choices))
    }
    self.init(path: path, appends: words.count > 1)
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
