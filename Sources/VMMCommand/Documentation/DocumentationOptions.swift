internal import MachineSpecification

/// What `vmm-run documentation` was asked for: the files beside the program that a package has,
/// from the table that `--help` shows.
struct DocumentationOptions: Equatable, Sendable {
  /// The word on the command line. It is no `CommandName`: nobody needs it but packages.
  static let command = "documentation"

  enum Kind: String, CaseIterable, Sendable, Codable, SpecChoice {
    /// A manual page in roff, section 1.
    case man
    case bash
    case zsh
    case fish
  }

  var kind: Kind
  /// Whose manual page; nil for the program's own.
  var subject: CommandName?

  init(_ kind: Kind, of subject: CommandName? = nil) {
    self.kind = kind
    self.subject = subject
  }

  /// Reads `KIND`, and for a manual page `[COMMAND]`.
  init(_ words: [String]) throws(UsageError) {
    do throws(SpecValueError) {
      kind = try Kind(parsing: words.first ?? "")
      guard words.count > 1 else { return }
      guard kind == .man, words.count == 2 else {
        throw SpecValueError("unexpected argument \(QuotedText(words[words.count - 1]))")
      }
      subject = CommandName(rawValue: words[1])
      if subject == nil {
        throw .unknown(words[1], choices: CommandName.allCases.map(\.rawValue))
      }
    } catch {
      throw .invalidOperand(Self.command, error)
    }
  }

  var text: String {
    switch kind {
    case .man: ManualPage(date: .ofBuild).text(for: subject)
    case .bash: BashCompletion.text
    case .zsh: ZshCompletion.text
    case .fish: FishCompletion.text
    }
  }
}

extension CommandDefinition {
  /// The options that a command line can have, help included.
  var completedOptions: [OptionDefinition] { options + [.help] }
}

/// What completion scripts have in common.
enum CompletionText {
  /// The first sentence of a summary, without its full stop: lists of shells have one line each.
  static func brief(_ summary: String) -> String {
    var words: [Substring] = []
    for word in summary.split(separator: " ") {
      words.append(word)
      if word.hasSuffix(".") { break }
    }
    let sentence = words.joined(separator: " ")
    return sentence.hasSuffix(".") ? String(sentence.dropLast()) : sentence
  }

  /// One word of a shell, whatever is in it.
  static func quoted(_ text: String) -> String {
    "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: #"'\''"#)
      + "'"
  }
}
