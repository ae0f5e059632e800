/// Where the guest's first serial port goes, as `--serial` names it.
enum SerialChoice: Hashable, Sendable {
  /// Standard input and output.
  case stdio
  /// A new pseudo-terminal, whose name is printed.
  case pty
  /// Output only, to a file.
  case file(LogFileOption)
  /// Nowhere; what the guest writes is lost.
  case none

  private static let filePrefix = "file:"
  private static let words = ["stdio", "pty", "file:FILE", "none"]

  init(parsing text: String) throws(UsageError) {
    let option = OptionDefinition.serial.name
    switch text {
    case "stdio": self = .stdio
    case "pty": self = .pty
    case "none": self = .none
    case "file":
      throw .missingValue(option: option, placeholder: Self.filePrefix + "FILE")
    default:
      guard !text.unicodeScalars.starts(with: Self.filePrefix.unicodeScalars) else {
        let file = text.unicodeScalars.dropFirst(Self.filePrefix.unicodeScalars.count)
        self = .file(
          try LogFileOption(
            parsing: Substring(file), option: .serial, prefix: Self.filePrefix))
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
