/// Completion for fish.
enum FishCompletion {
  static var text: String {
    let commands = CommandName.allCases.map(\.definition)
    return """
      # Completion of vmm-run for fish, made by 'vmm-run documentation fish'.

      # Whether the command is $argv[1], or none is there yet for an empty one.
      function __vmm_run_is
          set -l words (commandline -opc) ''
          test "$words[2]" = "$argv[1]"
      end

      # Whether this is the operand of that number, where no option stands before it.
      function __vmm_run_operand
          test (count (commandline -opc)) -eq (math $argv[1] + 1)
      end

      complete -c vmm-run -f
      \(line("''", "-s h -l help", OptionDefinition.help.summary))
      \(line("''", "-l version", OptionDefinition.version.summary))
      \(commands.map { line("''", "-a \($0.name)", $0.summary) }.joined(separator: "\n"))
      \(commands.map(lines).joined(separator: "\n"))

      """
  }

  private static func lines(of command: CommandDefinition) -> String {
    let options = command.completedOptions.map { option in
      line("\(command.name)", "-l \(option.name.dropFirst(2))\(values(of: option))", option.summary)
    }
    let path =
      command.takesFile
      ? ["complete -c vmm-run -n '__vmm_run_is \(command.name); and __vmm_run_operand 1' -F"] : []
    let verbs = command.verbs.map { verb in
      "complete -c vmm-run -n '__vmm_run_is \(command.name); and __vmm_run_operand 2'"
        + " -a \(verb.name) -d " + CompletionText.quoted(CompletionText.brief(verb.summary))
    }
    return (options + path + verbs).joined(separator: "\n")
  }

  private static func line(_ command: String, _ what: String, _ summary: String) -> String {
    "complete -c vmm-run -n \"__vmm_run_is \(command)\" \(what) -d "
      + CompletionText.quoted(CompletionText.brief(summary))
  }

  private static func values(of option: OptionDefinition) -> String {
    guard option.takesValue else { return "" }
    let words =
      option.words.isEmpty
      ? "" : " -a " + CompletionText.quoted(option.words.joined(separator: " "))
    return (option.takesFile ? " -r -F" : " -x") + words
  }
}
