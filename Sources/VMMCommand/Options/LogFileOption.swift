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
