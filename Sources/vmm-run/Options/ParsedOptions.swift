/// The options of one command line, looked up by definition and converted to what they mean.
struct ParsedOptions: Equatable {
  /// By option name, in the order given; an option without a value has one empty one.
  private let values: [String: [String]]

  init(values: [String: [String]]) {
    self.values = values
  }

  func contains(_ option: OptionDefinition) -> Bool {
    values[option.name] != nil
  }

  func text(_ option: OptionDefinition) -> String? {
    values[option.name]?.first
  }

  /// All values of a repeatable option, in the order given.
  func texts(_ option: OptionDefinition) -> [String] {
    values[option.name] ?? []
  }

  func byteCount(_ option: OptionDefinition) throws(UsageError) -> ByteCount? {
    guard let text = text(option) else { return nil }
    do {
      return try ByteCount(parsing: text)
    } catch {
      throw .invalidSize(option: option.name, error)
    }
  }

  func integer(
    _ option: OptionDefinition, in range: ClosedRange<Int>
  ) throws(UsageError) -> Int? {
    guard let text = text(option) else { return nil }
    guard let number = Int(text), range.contains(number) else {
      throw .invalidNumber(option: option.name, text, range: range)
    }
    return number
  }

  func choice<Choice>(_ option: OptionDefinition) throws(UsageError) -> Choice?
  where Choice: RawRepresentable<String> & CaseIterable {
    guard let text = text(option) else { return nil }
    if let choice = Choice(rawValue: text) { return choice }
    let choices = Choice.allCases.map(\.rawValue)
    throw .unknownChoice(
      option: option.name, text, choices: choices,
      nearest: NearestName.nearest(to: text, among: choices))
  }
}
