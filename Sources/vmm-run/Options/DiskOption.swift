/// One `--disk`: a file name, and what follows it after a comma.
struct DiskOption: Equatable, Sendable {
  private static let readOnlyWord = "readonly"

  var path: String
  var isReadOnly: Bool

  init(path: String, isReadOnly: Bool = false) {
    self.path = path
    self.isReadOnly = isReadOnly
  }

  /// `FILE[,readonly]`. Two commas stand for one in the file's name: a name ends at a single one.
  init(parsing text: String) throws(UsageError) {
    let name = OptionDefinition.disk.name
    var path = ""
    var words: [String] = []
    var rest = text[...]
    while let character = rest.popFirst() {
      if character != "," {
        path.append(character)
      } else if rest.first == "," {
        path.append(rest.removeFirst())
      } else {
        words = rest.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        break
      }
    }
    guard !path.isEmpty else {
      throw .missingValue(option: name, placeholder: OptionDefinition.disk.placeholder ?? "")
    }
    for word in words where word != Self.readOnlyWord {
      let choices = [Self.readOnlyWord]
      throw .unknownChoice(
        option: "\(name) FILE,", word, choices: choices,
        nearest: NearestName.nearest(to: word, among: choices))
    }
    self.init(path: path, isReadOnly: !words.isEmpty)
  }
}
