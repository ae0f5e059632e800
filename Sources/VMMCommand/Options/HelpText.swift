/// The text of `--help`, built from the same definitions that parse the options.
enum HelpText {
  /// Fits the narrowest terminal in common use.
  static let columnCount = 80

  static let help = ("-h, --help", OptionDefinition.help.summary)
  static let purpose = """
    A virtual machine monitor that tells its guest which memory is already zero, so that the guest \
    need not zero it again.
    """

  static func text(for command: CommandName?) -> String {
    command.map { commandText($0.definition) } ?? overview
  }

  private static var overview: String {
    let summaries = CommandName.allCases.map { ($0.rawValue, $0.definition.summary) }
    let options = [help, (OptionDefinition.version.name, OptionDefinition.version.summary)]
    return """
      Usage: vmm-run COMMAND [OPTION]...

      \(wrap(purpose, to: columnCount).joined(separator: "\n"))

      Commands:
      \(list(summaries))

      Options:
      \(list(options))

      Exit status: 0 success, 1 the guest or the run failed, 2 wrong usage, 3 this
      host cannot do it. See 'vmm-run COMMAND --help' for the options of a command.

      """
  }

  private static func commandText(_ command: CommandDefinition) -> String {
    let options = command.options.map { ($0.synopsis, $0.summary) } + [help]
    return """
      Usage: \(usage(of: command))

      \(wrap(command.discussion, to: columnCount).joined(separator: "\n"))

      Options:
      \(list(options))

      Examples:
      \(command.examples.map { "  " + $0 }.joined(separator: "\n"))

      """
  }

  /// `vmm-run demo [OPTION]...`.
  static func usage(of command: CommandDefinition) -> String {
    let required =
      (alternatives(command.alternatives).map { " \($0)" } ?? "")
      + (command.operands.isEmpty ? "" : " \(command.operands)")
    return "vmm-run \(command.name)\(required) [OPTION]..."
  }

  /// `{--program | --kernel} FILE`: options of which one is needed, all with the same kind of
  /// value.
  private static func alternatives(_ options: [OptionDefinition]) -> String? {
    guard let first = options.first else { return nil }
    guard options.count > 1 else { return first.synopsis }
    let names = "{" + options.map(\.name).joined(separator: "|") + "}"
    return first.placeholder.map { "\(names) \($0)" } ?? names
  }

  /// Two columns, the second wrapped under itself.
  private static func list(_ rows: [(String, String)]) -> String {
    let nameWidth = rows.map(\.0.count).max() ?? 0
    let indent = nameWidth + 4
    return rows.map { name, summary in
      let gap = String(repeating: " ", count: nameWidth - name.count + 2)
      let lines = wrap(summary, to: columnCount - indent)
      let margin = "\n" + String(repeating: " ", count: indent)
      return "  " + name + gap + lines.joined(separator: margin)
    }.joined(separator: "\n")
  }

  static func wrap(_ text: String, to width: Int) -> [String] {
    var lines: [String] = []
    for word in text.split(separator: " ") {
      if let last = lines.last, last.count + 1 + word.count <= width {
        lines[lines.count - 1] = last + " " + word
      } else {
        lines.append(String(word))
      }
    }
    return lines
  }
}
