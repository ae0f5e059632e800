internal import MachineSpecification

/// `--serial`.
extension SerialSpec {
  private static let filePrefix = "file:"
  private static let words = ["stdio", "pty", "file:FILE", "none"]

  init(option text: String) throws(UsageError) {
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
          try LogFileSpec(
            parsing: Substring(file), option: .serial, prefix: Self.filePrefix))
        return
      }
      // What follows a colon is a path, which says nothing about the word before it.
      let word = String(text.prefix { $0 != ":" })
      let kinds = Self.words.map { String($0.prefix { $0 != ":" }) }
      let nearest = NearestName.nearest(to: word, among: kinds)
      throw .invalidValue(
        option: option,
        .unknown(
          text, choices: Self.words,
          nearest: nearest.flatMap { kinds.firstIndex(of: $0) }.map { Self.words[$0] }))
    }
  }
}
