internal import HyperVCore

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
  case invalidSize(option: String, ByteCountError)
  case notWholePages(option: String, ByteCount)
  case invalidGranularity(option: String, ByteCount, least: ByteCount, most: ByteCount)
  case invalidNumber(option: String, String, range: ClosedRange<Int>)
  case unknownChoice(option: String, String, choices: [String], nearest: String?)
  case invalidFeatures(option: String, EnlightenmentError)
  /// `none`, `default` or `all` behind another word.
  case baseNotFirst(option: String, String)
  /// `+NAME` or `-NAME` with nothing to add to or remove from.
  case signWithoutBase(option: String, String)
  /// Values of an interface that is not offered.
  case valuesForNothing(option: String)
  /// A key of a list without its value.
  case missingFeatureValue(option: String, String, placeholder: String)
  case invalidFeatureValue(option: String, String, expected: String)
  case invalidUUID(option: String, String)
  /// A word that may be in a list once only.
  case repeatedWord(option: String, String)
  /// A serial number that a disk cannot have.
  case invalidSerial(option: String, String)
  /// Two disks of one serial number.
  case repeatedSerial(option: String, String)
  /// A disk image that is not raw.
  case unknownImageFormat(option: String, String)
  /// Not two numbers in these ranges.
  case invalidDisplay(
    option: String, String, widths: ClosedRange<Int>, heights: ClosedRange<Int>)

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
        + owners.map { "'\($0)'" }.joined(separator: " and ")
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
    case .invalidSize, .notWholePages, .invalidGranularity, .invalidNumber, .unknownChoice,
      .invalidFeatures, .baseNotFirst, .signWithoutBase, .valuesForNothing, .missingFeatureValue,
      .invalidFeatureValue, .invalidUUID, .repeatedWord, .unknownImageFormat, .invalidSerial,
      .repeatedSerial, .invalidDisplay:
      valueDescription
    }
  }

  /// Messages about an option that is known but has a value that is not.
  private var valueDescription: String {
    switch self {
    case .invalidSize(let option, let error):
      "option '\(option)': \(error)"
    case .notWholePages(let option, let byteCount):
      "option '\(option)': \(byteCount.optionText) is not a whole number of 4 KiB pages"
    case .invalidGranularity(let option, let byteCount, let least, let most):
      "option '\(option)': \(byteCount.optionText) is not a power of two "
        + "from \(least.optionText) to \(most.optionText)"
    case .invalidNumber(let option, let text, let range):
      "option '\(option)': \(QuotedText(text)) is not a number "
        + "from \(range.lowerBound) to \(range.upperBound)"
    case .unknownChoice(let option, let text, let choices, let nearest):
      "option '\(option)': \(QuotedText(text)) is not one of "
        + choices.joined(separator: ", ")
        + (nearest.map { "; did you mean '\($0)'?" } ?? "")
    case .invalidFeatures(let option, let error):
      "option '\(option)': \(error)"
    case .baseNotFirst(let option, let word):
      "option '\(option)': \(QuotedText(word)) can only be the first word"
    case .signWithoutBase(let option, let word):
      "option '\(option)': begin with none, default or all, so that \(QuotedText(word)) has"
        + " something to change: 'default,\(word)'"
    case .valuesForNothing(let option):
      "option '\(option)': values without any enlightenment have no meaning; add one or leave them out"
    case .missingFeatureValue(let option, let key, let placeholder):
      "option '\(option)': '\(key)' needs a value: '\(key)=\(placeholder)'"
    case .invalidFeatureValue(let option, let text, let expected):
      "option '\(option)': \(QuotedText(text)) is not \(expected)"
    case .invalidUUID(let option, let text):
      "option '\(option)': \(QuotedText(text)) is not a UUID such as "
        + "12345678-9abc-def0-1234-56789abcdef0"
    case .repeatedWord(let option, let word):
      "option '\(option)': \(QuotedText(word)) is there twice"
    case .invalidSerial(let option, let text):
      "option '\(option)': \(QuotedText(text)) is no serial number, which has 1 to 20 characters "
        + "of ASCII, none a control character, the first and last no space"
    case .repeatedSerial(let option, let text):
      "option '\(option)': two disks have the serial number \(QuotedText(text)), by which guests "
        + "tell them apart"
    case .unknownImageFormat(let option, let format):
      "option '\(option)': \(QuotedText(format)) is no format of disk images here; there is only "
        + "raw: convert the image (qemu-img convert -O raw OLD NEW)"
    case .invalidDisplay(let option, let text, let widths, let heights):
      "option '\(option)': \(QuotedText(text)) is no size such as 1280x800, "
        + "from \(widths.lowerBound)x\(heights.lowerBound) "
        + "to \(widths.upperBound)x\(heights.upperBound)"
    default:
      ""
    }
  }

  private static var commandList: String {
    CommandName.allCases.map(\.rawValue).joined(separator: ", ")
  }

  private static func helpCommand(_ command: CommandName?) -> String {
    command.map { "vmm-run \($0) --help" } ?? "vmm-run --help"
  }
}

/// Text from the command line inside a message: quoted, shortened, and with control characters
/// escaped, so that no argument can move the cursor or split a one-line message. Bytes that are no
/// UTF-8 are shown as `\xE9`.
struct QuotedText: CustomStringConvertible {
  private static let longest = 80
  private let text: String

  init(_ text: some StringProtocol) {
    self.text = String(text)
  }

  var description: String {
    let shown = String(String.UnicodeScalarView(text.unicodeScalars.prefix(Self.longest)))
    let rest = text.unicodeScalars.count > Self.longest ? "..." : ""
    return "'\(ArgumentText.printable(shown))\(rest)'"
  }
}
