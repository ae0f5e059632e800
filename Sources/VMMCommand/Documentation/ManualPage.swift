internal import FoundationEssentials
internal import Glibc

/// Manual pages in the macros of man(7): `vmm-run(1)`, and `vmm-run-COMMAND(1)` for each command,
/// which `man vmm-run COMMAND` finds.
struct ManualPage {
  /// When what the page tells was so, as it stands below each page.
  struct PageDate {
    var text: String

    init(secondsSince1970: Int) {
      text = Date(timeIntervalSince1970: Double(secondsSince1970))
        .formatted(.iso8601.year().month().day())
    }

    /// Of `SOURCE_DATE_EPOCH`, so that two builds make the same page, or today.
    static var ofBuild: PageDate {
      // SAFETY: a terminated string, copied before anything else changes the environment.
      let epoch = unsafe getenv("SOURCE_DATE_EPOCH").flatMap { unsafe Int(String(cString: $0)) }
      return PageDate(secondsSince1970: epoch ?? time(nil))
    }
  }

  let date: PageDate

  func text(for command: CommandName?) -> String {
    command.map { page(of: $0.definition) } ?? overview
  }

  private var overview: String {
    let names = CommandName.allCases.map { ("vmm-run \($0)", $0.definition.summary) }
    let options = [
      HelpText.help, (OptionDefinition.version.name, OptionDefinition.version.summary),
    ]
    let files = [
      ("/dev/kvm", "This user needs it for reading and writing, for every command but ctl."),
      (
        "/etc/vmm-run/NAME.json",
        """
        The machine of the service vmm-run@NAME, as 'vmm-run run --print-config' prints it. Its \
        files are in /var/lib/vmm-run/NAME, its control socket is /run/vmm-run/NAME/control.sock.
        """
      ),
    ]
    return lines([
      header("vmm-run"), section("NAME"), #"vmm\-run \- virtual machine monitor for KVM"#,
      section("SYNOPSIS"), #"\fBvmm\-run\fR \fICOMMAND\fR [\fIOPTION\fR]..."#,
      section("DESCRIPTION"), prose(HelpText.purpose), section("COMMANDS"), list(names),
      section("OPTIONS"), list(options), exitStatus, section("FILES"), list(files),
      seeAlso(except: nil),
    ])
  }

  private func page(of command: CommandDefinition) -> String {
    let name = "vmm-run-\(command.name)"
    let summary = command.summary.prefix(1).lowercased() + command.summary.dropFirst()
    let options = command.options.map { ($0.synopsis, $0.summary) } + [HelpText.help]
    return lines([
      header(name), section("NAME"),
      Self.wrapped(Self.escaped(name) + #" \- "# + Self.escaped(CompletionText.brief(summary))),
      section("SYNOPSIS"), synopsis(of: command), section("DESCRIPTION"),
      prose(command.discussion), section("OPTIONS"), list(options),
      command.verbs.isEmpty
        ? "" : section("COMMANDS") + "\n" + list(command.verbs.map { ($0.name, $0.summary) }),
      section("EXAMPLES"), ".nf", lines(command.examples.map(Self.escaped)), ".fi", exitStatus,
      seeAlso(except: command.name),
    ])
  }

  private var exitStatus: String {
    lines([
      section("EXIT STATUS"),
      list([
        ("0", "Success."), ("1", "The guest or the run failed."),
        ("2", "The command line is wrong."), ("3", "This host cannot do it."),
      ]),
      ".PP",
      prose(
        """
        A flat program ends 'vmm-run run' with a status of its own, and a signal with 128 and the \
        signal's number.
        """),
    ])
  }

  private func seeAlso(except command: CommandName?) -> String {
    let pages =
      ["vmm-run"].filter { _ in command != nil }
      + CommandName.allCases.filter { $0 != command }.map { "vmm-run-\($0)" }
    let references = (pages.map { ($0, 1) } + [("passt", 1), ("swtpm", 8)]).map { name, number in
      "\\fB\(Self.escaped(name))\\fR(\(number))"
    }
    return section("SEE ALSO") + "\n" + references.joined(separator: ",\n")
  }

  private func header(_ name: String) -> String {
    let title = Self.escaped(name.uppercased())
    // No word is divided: many are to be typed as they stand.
    return #".TH "\#(title)" "1" "\#(date.text)" "vmm\-run \#(Version.number)" "User Commands""#
      + "\n.nh\n.ad l"
  }

  private func section(_ heading: String) -> String {
    heading.contains(" ") ? #".SH "\#(heading)""# : ".SH \(heading)"
  }

  /// The words of the program in bold, what stands for others in italics.
  private func synopsis(of command: CommandDefinition) -> String {
    let words = HelpText.usage(of: command).split(separator: " ").map { word in
      let isLiteral = word.utf8.allSatisfy { (0x61...0x7A).contains($0) || $0 == 0x2D }
      // Behind a full stop roff makes more space, unless it is told that no sentence ends there.
      let end = word.hasSuffix(".") ? "\\&" : ""
      return "\\f\(isLiteral ? "B" : "I")\(Self.escaped(String(word)))\\fR\(end)"
    }
    return Self.wrapped(words.joined(separator: " "))
  }

  /// Tagged paragraphs: an option or a command, and what it does.
  private func list(_ rows: [(String, String)]) -> String {
    lines(rows.map { tag, text in lines([".TP", Self.tag(tag), prose(text)]) })
  }

  /// `--memory SIZE`: the name in bold, the rest in italics. What does not begin with a dash is all
  /// bold.
  private static func tag(_ text: String) -> String {
    guard text.hasPrefix("--"), let space = text.firstIndex(of: " ") else {
      return "\\fB\(escaped(text))\\fR"
    }
    return "\\fB\(escaped(String(text[..<space])))\\fR"
      + " \\fI\(escaped(String(text[text.index(after: space)...])))\\fR"
  }

  /// Sentences on lines of their own, as roff wants them, and options in bold.
  private func prose(_ text: String) -> String {
    var sentences: [[String]] = [[]]
    for word in text.split(separator: " ") {
      sentences[sentences.count - 1].append(Self.emphasized(String(word)))
      if word.hasSuffix(".") { sentences.append([]) }
    }
    return lines(sentences.filter { !$0.isEmpty }.map { Self.wrapped($0.joined(separator: " ")) })
  }

  private static func emphasized(_ word: String) -> String {
    guard word.hasPrefix("--") else { return escaped(word) }
    let name = word.prefix { $0 == "-" || $0.isLetter }
    return "\\fB\(escaped(String(name)))\\fR" + escaped(String(word.dropFirst(name.count)))
  }

  private static func wrapped(_ text: String) -> String {
    HelpText.wrap(text, to: HelpText.columnCount - 2).map { line in
      // A full stop or an apostrophe at the beginning would be a request.
      line.hasPrefix(".") || line.hasPrefix("'") ? "\\&" + line : line
    }.joined(separator: "\n")
  }

  /// Characters as they are typed: roff makes typographic ones of these otherwise.
  private static func escaped(_ text: String) -> String {
    var result = ""
    for character in text {
      switch character {
      case "\\": result += "\\e"
      case "-": result += "\\-"
      case "'": result += "\\(aq"
      case "`": result += "\\(ga"
      case "^": result += "\\(ha"
      case "~": result += "\\(ti"
      default: result.append(character)
      }
    }
    return result
  }

  private func lines(_ parts: [String]) -> String {
    parts.filter { !$0.isEmpty }.map { $0.hasSuffix("\n") ? String($0.dropLast()) : $0 }
      .joined(separator: "\n") + "\n"
  }
}
