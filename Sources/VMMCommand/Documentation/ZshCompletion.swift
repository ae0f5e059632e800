/// Completion for zsh: a file that its completion loads by itself from a directory of `$fpath`.
enum ZshCompletion {
  static var text: String {
    let commands = CommandName.allCases.map(\.definition)
    let names = commands.map { CompletionText.quoted("\($0.name):\(described($0.summary))") }
    return """
      #compdef vmm-run
      # Made by 'vmm-run documentation zsh'.

      _vmm-run_words_or_files() {
        local result=1
        compadd -- "$@" && result=0
        _files && result=0
        return result
      }
      \(commands.filter { !$0.verbs.isEmpty }.map(verbs).joined(separator: "\n"))
      _vmm-run() {
        local curcontext=$curcontext state line result=1
        local -a commands
        typeset -A opt_args
        _arguments -C \\
          '(- *)'{-h,--help}'[\(described(OptionDefinition.help.summary))]' \\
          '(- *)--version[\(described(OptionDefinition.version.summary))]' \\
          '1:command:->command' \\
          '*::argument:->argument' && result=0
        case $state in
          command)
            commands=(
              \(names.joined(separator: "\n        "))
            )
            _describe -t commands 'vmm-run command' commands && result=0
            ;;
          argument)
            curcontext=${curcontext%:*:*}:vmm-run-$words[1]:
            case $words[1] in
      \(commands.map(cases).joined(separator: "\n"))
            esac
            ;;
        esac
        return result
      }

      _vmm-run "$@"

      """
  }

  private static func verbs(of command: CommandDefinition) -> String {
    """

    _vmm-run_\(command.name)() {
      local -a verbs=(
        \(command.verbs.map { CompletionText.quoted("\($0.name):\(described($0.summary))") }
      .joined(separator: "\n    "))
      )
      _describe -t verbs COMMAND verbs
    }

    """
  }

  private static func cases(of command: CommandDefinition) -> String {
    var specifications = command.completedOptions.map { option in
      (option.isRepeatable ? "*" : "") + option.name + (option.takesValue ? "=" : "")
        + "[\(described(option.summary))]" + values(of: option)
    }
    if command.takesFile { specifications.append("1:PATH:_files") }
    if !command.verbs.isEmpty { specifications.append("2:COMMAND:_vmm-run_\(command.name)") }
    return """
              \(command.name))
                _arguments \\
                  \(specifications.map(CompletionText.quoted).joined(separator: " \\\n            ")) && result=0
                ;;
      """
  }

  private static func values(of option: OptionDefinition) -> String {
    guard let placeholder = option.placeholder else { return "" }
    let words = option.words.joined(separator: " ")
    let action =
      switch (option.words.isEmpty, option.takesFile) {
      case (true, true): "_files"
      case (true, false): " "
      case (false, true): " _vmm-run_words_or_files \(words)"
      case (false, false): "(\(words))"
      }
    // Two colons: the value may be left out.
    return (option.impliedValue == nil ? ":" : "::") + escaped(placeholder) + ":" + action
  }

  private static func described(_ summary: String) -> String {
    escaped(CompletionText.brief(summary))
  }

  /// What ends a description, or begins the next part of one, is kept from that.
  private static func escaped(_ text: String) -> String {
    var result = ""
    for character in text {
      if [":", "[", "]", "\\"].contains(character) { result += "\\" }
      result.append(character)
    }
    return result
  }
}
