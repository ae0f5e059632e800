/// The options of one command line, looked up by definition and converted to what they mean.
struct ParsedOptions: Equatable {
  private struct Given: Equatable {
    let name: String
    let value: String
  }

  /// In the order given; an option without a value has an empty one. No dictionary: the types of
  /// one are made at run time, which takes longer than parsing.
  private var given: [Given] = []

  mutating func add(_ value: String, to option: OptionDefinition) {
    given.append(Given(name: option.name, value: value))
  }

  func contains(_ option: OptionDefinition) -> Bool {
    text(option) != nil
  }

  func text(_ option: OptionDefinition) -> String? {
    given.first { $0.name == option.name }?.value
  }

  /// All values of a repeatable option, in the order given.
  func texts(_ option: OptionDefinition) -> [String] {
    given.filter { $0.name == option.name }.map(\.value)
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
