internal import MachineSpecification

/// The options of one command line, looked up by definition and converted to what they mean.
struct ParsedOptions: Equatable {
  private struct Given: Equatable {
    let name: String
    let value: String
  }

  /// In the order given; an option without a value has an empty one. No dictionary: the types of
  /// one are made at run time, which takes longer than parsing.
  private var given: [Given] = []
  /// Words that are no options, in the order given.
  var operands: [String] = []

  mutating func add(_ value: String, to option: OptionDefinition) {
    given.append(Given(name: option.name, value: value))
  }

  /// What was given of other options.
  func without(_ option: OptionDefinition) -> ParsedOptions {
    var rest = self
    rest.given.removeAll { $0.name == option.name }
    return rest
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

  /// The value of an option, read by `read`.
  func value<R>(
    _ option: OptionDefinition, _ read: (String) throws(SpecValueError) -> R
  ) throws(UsageError) -> R? {
    guard let text = text(option) else { return nil }
    return try checked(option) { () throws(SpecValueError) in try read(text) }
  }

  /// Gives an error of an option's value its option.
  func checked<R>(
    _ option: OptionDefinition, _ body: () throws(SpecValueError) -> R
  ) throws(UsageError) -> R {
    do throws(SpecValueError) {
      return try body()
    } catch {
      throw .invalidValue(option: option.name, error)
    }
  }

  func integer(
    _ option: OptionDefinition, in range: ClosedRange<Int>
  ) throws(UsageError) -> Int? {
    try value(option) { (text) throws(SpecValueError) in
      guard let number = Int(text), range.contains(number) else {
        throw .number(text, in: range)
      }
      return number
    }
  }

  func choice<Choice: SpecChoice>(_ option: OptionDefinition) throws(UsageError) -> Choice? {
    try value(option) { (text) throws(SpecValueError) in try Choice(parsing: text) }
  }
}
