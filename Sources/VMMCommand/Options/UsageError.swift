internal import MachineSpecification

/// A command line that cannot be obeyed. Ends with exit status 2 before anything is started.
enum UsageError: Error, Equatable, CustomStringConvertible {
  case noCommand
  case unknownCommand(String, nearest: String?)
  case optionBeforeCommand(String, command: CommandName)
  case unknownOption(String, command: CommandName?, nearest: String?)
  case optionOfAnotherCommand(String, command: CommandName, owners: [CommandName])
  case unexpectedArgument(String, command: CommandName, suggestions: [String])
  case missingValue(option: String, placeholder: String)
  case unexpectedValue(option: String, value: String)
  case duplicateOption(String)
  case conflict(String, String, reason: String)
  /// None of the options of which a command needs one.
  case missingOption([String], command: CommandName)
  /// An option that makes sense only beside another.
  case missingCompanion(option: String, needs: String)
  /// A word that has to be there.
  case missingOperand(String, command: CommandName)
  /// A word that is there and cannot be what it stands for.
  case invalidOperand(String, SpecValueError)
  /// An option that is known with a value that is not.
  case invalidValue(option: String, SpecValueError)
  /// The file of `--config`, and why it cannot be read.
  case unreadableConfiguration(String)
  /// The file of `--config`, and what is wrong in it.
  case invalidConfiguration(file: String, MachineSpecError)

  var description: String {
    switch self {
    case .noCommand:
      "no command given; commands are \(Self.commandList); see 'vmm-run --help'"
    case .unknownCommand(let word, let nearest?):
      "unknown command \(QuotedText(word)); did you mean '\(nearest)'?"
    case .unknownCommand(let word, nil):
      "unknown command \(QuotedText(word)); commands are \(Self.commandList); "
        + "see 'vmm-run --help'"
    case .optionBeforeCommand(let option, let command):
      "option '\(option)' comes after a command: 'vmm-run \(command) \(option)'"
    case .unknownOption(let word, _, let nearest?):
      "unknown option \(QuotedText(word)); did you mean '\(nearest)'?"
    case .unknownOption(let word, let command, nil):
      "unknown option \(QuotedText(word)); see '\(Self.helpCommand(command))'"
    case .optionOfAnotherCommand(let option, let command, let owners):
      "'\(command)' has no option '\(option)'; it belongs to "
        + Self.list(owners)
    case .unexpectedArgument(let word, let command, let suggestions):
      "unexpected argument \(QuotedText(word)); "
        + (suggestions.isEmpty
          ? "see '\(Self.helpCommand(command))'"
          : "did you mean " + suggestions.map { "\(QuotedText($0))" }.joined(separator: " or ")
            + "?")
    case .missingValue(let option, let placeholder):
      "option '\(option)' needs a value: '\(option) \(placeholder)'"
    case .unexpectedValue(let option, let value):
      "option '\(option)' takes no value, but was given \(QuotedText(value))"
    case .duplicateOption(let option):
      "option '\(option)' was given more than once"
    case .conflict(let first, let second, let reason):
      "options '\(first)' and '\(second)' cannot be combined; \(reason)"
    case .missingOption(let options, let command):
      "'\(command)' needs the option " + options.map { "'\($0)'" }.joined(separator: " or ")
        + "; see '\(Self.helpCommand(command))'"
    case .missingCompanion(let option, let needed):
      "option '\(option)' works only together with '\(needed)'"
    case .missingOperand(let operand, let command):
      "'\(command)' needs \(operand): 'vmm-run \(command) \(command.definition.operands)'; see"
        + " '\(Self.helpCommand(command))'"
    case .invalidOperand(let operand, let error):
      "\(operand): \(error)"
    case .invalidValue(let option, let error):
      "option '\(option)\(error.part.isEmpty ? "" : " " + error.part)': \(error)"
    case .unreadableConfiguration(let failure):
      failure
    case .invalidConfiguration(let file, let error):
      "machine \(QuotedText(file)): \(error)"
    }
  }

  /// `'demo', 'run' and 'windows'`.
  private static func list(_ commands: [CommandName]) -> String {
    let names = commands.map { "'\($0)'" }
    let last = names.last ?? ""
    return names.count < 2 ? last : names.dropLast().joined(separator: ", ") + " and " + last
  }

  private static var commandList: String {
    CommandName.allCases.map(\.rawValue).joined(separator: ", ")
  }

  private static func helpCommand(_ command: CommandName?) -> String {
    command.map { "vmm-run \($0) --help" } ?? "vmm-run --help"
  }
}
