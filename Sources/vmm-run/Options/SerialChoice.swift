/// Where the guest's first serial port goes, as `--serial` names it.
enum SerialChoice: Hashable, Sendable {
  /// Standard input and output.
  case stdio
  /// A new pseudo-terminal, whose name is printed.
  case pty
  /// Output only, to a file that is emptied first.
  case file(String)
  /// Nowhere; what the guest writes is lost.
  case none

  private static let filePrefix = "file:"
  private static let words = ["stdio", "pty", "file:PATH", "none"]

  init(parsing text: String) throws(UsageError) {
    let option = OptionDefinition.serial.name
    switch text {
    case "stdio": self = .stdio
    case "pty": self = .pty
    case "none": self = .none
    case "file", Self.filePrefix:
      throw .missingValue(option: option, placeholder: "file:PATH")
    default:
      guard !text.hasPrefix(Self.filePrefix) else {
        self = .file(String(text.dropFirst(Self.filePrefix.count)))
        return
      }
      // What follows a colon is a path, which says nothing about the word before it.
      let word = String(text.prefix { $0 != ":" })
      let kinds = Self.words.map { String($0.prefix { $0 != ":" }) }
      let nearest = NearestName.nearest(to: word, among: kinds)
      throw .unknownChoice(
        option: option, text, choices: Self.words,
        nearest: nearest.flatMap { kinds.firstIndex(of: $0) }.map { Self.words[$0] })
    }
  }
}
