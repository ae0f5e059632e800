internal import MachineSpecification

/// Splits the arguments of one command into options and values, by the command's definition.
///
/// Takes `--option value` and `--option=value`. A word that begins with a dash is never taken as
/// the value of the option before it: `--map --json` is a forgotten file name far more often than a
/// file called `--json`, which can still be written `--map=--json`.
struct OptionParser {
  private let command: CommandDefinition

  init(_ command: CommandDefinition) {
    self.command = command
  }

  func parse(_ arguments: [String]) throws(UsageError) -> ParsedOptions {
    var parsed = ParsedOptions()
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      guard argument.hasPrefix("-"), argument != "-" else {
        if !command.operands.isEmpty {
          parsed.operands.append(argument)
          continue
        }
        throw unexpected(argument, after: parsed)
      }
      // By scalars: a mark at the beginning of a value would be one character with the sign.
      let parts = argument.unicodeScalars.split(
        separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let attached = parts.count == 2 ? String(parts[1]) : nil
      guard let option = command.option(named: String(parts[0])) else {
        throw unknown(String(parts[0]))
      }
      guard !parsed.contains(option) || option.isRepeatable else {
        throw .duplicateOption(option.name)
      }

      guard let placeholder = option.placeholder else {
        if let attached { throw .unexpectedValue(option: option.name, value: attached) }
        parsed.add("", to: option)
        continue
      }
      var value = attached
      if value == nil, let next = rest.first, !next.hasPrefix("-") { value = rest.removeFirst() }
      guard let value = value ?? option.impliedValue, !value.isEmpty else {
        throw .missingValue(option: option.name, placeholder: placeholder)
      }
      parsed.add(value, to: option)
    }
    try checkCombination(parsed)
    return parsed
  }

  private func checkCombination(_ parsed: ParsedOptions) throws(UsageError) {
    for conflict in command.conflicts
    where parsed.contains(conflict.first) && parsed.contains(conflict.second) {
      throw .conflict(conflict.first.name, conflict.second.name, reason: conflict.reason)
    }
    for dependency in command.dependencies where !dependency.isMet(by: parsed) {
      for option in dependency.options where parsed.contains(option) {
        throw .missingCompanion(
          option: option.name, needs: dependency.on.map(\.synopsis).joined(separator: "' or '"))
      }
    }
    guard command.alternatives.isEmpty || command.alternatives.contains(where: parsed.contains)
    else {
      throw .missingOption(command.alternatives.map(\.synopsis), command: command.name)
    }
  }

  /// An option of another command is a wrong command, not a typing mistake; say so.
  private func unknown(_ word: String) -> UsageError {
    let owners = CommandName.allCases.filter { $0.definition.option(named: word) != nil }
    if !owners.isEmpty {
      return .optionOfAnotherCommand(word, command: command.name, owners: owners)
    }
    let names = command.options.map(\.name) + [OptionDefinition.help.name]
    return .unknownOption(
      word, command: command.name, nearest: NearestName.nearest(to: word, among: names))
  }

  /// Few commands take bare words. One that names an option lost its dashes; for a command that
  /// needs one of some options and was given none yet, it is most likely the value of one.
  private func unexpected(_ word: String, after parsed: ParsedOptions) -> UsageError {
    if let option = NearestName.nearest(to: word, among: command.options.map(\.name)) {
      return .unexpectedArgument(word, command: command.name, suggestions: [option])
    }
    let isOpen = !command.alternatives.contains(where: parsed.contains)
    let suggestions = isOpen ? command.alternatives.map { "\($0.name) \(word)" } : []
    return .unexpectedArgument(word, command: command.name, suggestions: suggestions)
  }
}
