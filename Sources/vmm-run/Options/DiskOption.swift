/// One `--disk`: a file name, and what follows it after commas.
struct DiskOption: Equatable, Sendable {
  private static let readOnlyWord = "readonly"
  private static let formatKey = "format"
  /// The only format. It need not be said, unless the image begins as one of another format does.
  private static let rawFormat = "raw"

  var path: String
  var isReadOnly = false
  /// Whether the image is raw whatever it begins with.
  var isKnownRaw = false

  init(path: String, isReadOnly: Bool = false, isKnownRaw: Bool = false) {
    self.path = path
    self.isReadOnly = isReadOnly
    self.isKnownRaw = isKnownRaw
  }

  /// `FILE[,readonly][,format=raw]`, the words in any order. Two commas stand for one in a name or
  /// a value: they end at a single one.
  init(parsing text: String) throws(UsageError) {
    let name = OptionDefinition.disk.name
    let words = Self.split(text)
    guard let path = words.first, !path.isEmpty else {
      throw .missingValue(option: name, placeholder: OptionDefinition.disk.placeholder ?? "")
    }
    self.init(path: path)
    var keys: Set<String> = []
    for word in words.dropFirst() {
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let value = parts.count == 2 ? String(parts[1]) : nil
      switch (String(parts[0]), value) {
      case (Self.readOnlyWord, nil):
        isReadOnly = true
      case (Self.formatKey, let value?):
        guard value == Self.rawFormat else { throw .unknownImageFormat(option: name, value) }
        isKnownRaw = true
      default:
        let choices = [Self.readOnlyWord, "\(Self.formatKey)=\(Self.rawFormat)"]
        throw .unknownChoice(
          option: "\(name) FILE,", word, choices: choices,
          nearest: NearestName.nearest(to: word, among: choices))
      }
      // A flag may be said twice; two values would leave open which one is meant.
      guard value == nil || keys.insert(String(parts[0])).inserted else {
        throw .repeatedWord(option: "\(name) FILE,", "\(parts[0])=")
      }
    }
  }

  /// The parts between single commas, each with its doubled commas as single ones.
  private static func split(_ text: String) -> [String] {
    var words = [""]
    var rest = text[...]
    while let character = rest.popFirst() {
      if character != "," {
        words[words.count - 1].append(character)
      } else if rest.first == "," {
        words[words.count - 1].append(rest.removeFirst())
      } else {
        words.append("")
      }
    }
    return words
  }
}
