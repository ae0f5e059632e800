/// A value that a machine cannot have, wherever it was written: in one line what is wrong, and what
/// to write.
public struct SpecValueError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Which part of a value of several parts is wrong, such as `spinlocks=`; empty for all of it.
  public let part: String
  /// The line, without the name of what has the value.
  public let description: String

  package init(_ description: String, part: String = "") {
    self.description = description
    self.part = part
  }

  package static func size(_ error: ByteCountError) -> SpecValueError {
    SpecValueError(error.description)
  }

  package static func number(
    _ text: String, in range: ClosedRange<Int>, part: String = ""
  ) -> SpecValueError {
    SpecValueError(
      "\(QuotedText(text)) is not a number from \(range.lowerBound) to \(range.upperBound)",
      part: part)
  }

  /// - Parameter nearest: the word that was probably meant; nil for none.
  package static func unknown(
    _ text: String, choices: [String], nearest: String?, part: String = ""
  ) -> SpecValueError {
    SpecValueError(
      "\(QuotedText(text)) is not one of " + choices.joined(separator: ", ")
        + (nearest.map { "; did you mean '\($0)'?" } ?? ""), part: part)
  }

  package static func unknown(
    _ text: String, choices: [String], part: String = ""
  ) -> SpecValueError {
    unknown(
      text, choices: choices, nearest: NearestName.nearest(to: text, among: choices), part: part)
  }

  package static func repeated(_ word: String, part: String = "") -> SpecValueError {
    SpecValueError("\(QuotedText(word)) is there twice", part: part)
  }
}

/// One of a few words.
package protocol SpecChoice: RawRepresentable<String>, CaseIterable, Codable {}

extension SpecChoice {
  /// The choice that a word names.
  package init(parsing text: String) throws(SpecValueError) {
    guard let choice = Self(rawValue: text) else {
      throw .unknown(text, choices: Self.allCases.map(\.rawValue))
    }
    self = choice
  }
}

/// Text from outside inside a message: quoted, shortened, and with control characters escaped, so
/// that no argument can move the cursor or split a one-line message. Bytes that are no UTF-8 are
/// shown as `\xE9`.
package struct QuotedText: CustomStringConvertible {
  private static let longest = 80
  private let text: String

  package init(_ text: some StringProtocol) {
    self.text = String(text)
  }

  package var description: String {
    let shown = String(String.UnicodeScalarView(text.unicodeScalars.prefix(Self.longest)))
    let rest = text.unicodeScalars.count > Self.longest ? "..." : ""
    return "'\(ArgumentText.printable(shown))\(rest)'"
  }
}
