public import HyperVCore

/// The parts of the Hyper-V interface that the guest is offered, and their values.
/// A thread-safe value.
public struct EnlightenmentChoice: Hashable, Sendable {
  /// What the guest gets, as far as this host has it.
  public var selection = EnlightenmentSelection.recommended
  /// What is a value.
  public var parameters = HyperVParameters()

  private static let bases: [(word: String, base: EnlightenmentSelection.Base)] = [
    ("none", .none), ("default", .recommended), ("all", .all),
  ]

  /// A choice with default values.
  public init(selection: EnlightenmentSelection = .recommended) {
    self.selection = selection
  }

  /// Reads a list of words, separated by commas: first `none`, `default` or `all`, then names, each
  /// added, or removed if a `-` is before it, and `KEY=VALUE`. Without the first word, names alone
  /// are exactly what the guest gets, and values alone go with the default.
  ///
  /// Nothing is added silently: a name whose requirements are not in the list is an error, here if
  /// the list begins with `none` or a name, otherwise when the host has been asked.
  public init(parsing text: String) throws(SpecValueError) {
    var words = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    let base = Self.bases.first { $0.word == words[0] }?.base
    if base != nil { words.removeFirst() }
    var names: Set<String> = []
    for word in words {
      guard names.insert(Self.subject(of: word)).inserted else {
        throw .repeated(Self.subject(of: word))
      }
      if let parameter = try HyperVParameter(parsing: word) {
        try parameter.apply(to: &parameters)
      } else {
        try choose(word, hasBase: base != nil, choices: words.count == 1 && base == nil)
      }
    }
    let namesFeatures = !selection.added.isEmpty
    selection.base = base ?? (namesFeatures ? .none : .recommended)
    guard selection.base == .none else { return }
    let features = selection.resolved(recommended: [], all: [])
    guard !features.isEmpty || parameters == HyperVParameters() else {
      throw SpecValueError(
        "values without any enlightenment have no meaning; add one or leave them out")
    }
    do throws(EnlightenmentError) {
      try features.validate()
    } catch {
      throw SpecValueError(error.description)
    }
  }

  /// The names of `selection`, as `init(parsing:)` reads them.
  package var names: String {
    let base = Self.bases.first { $0.base == selection.base }.map(\.word)
    let added = selection.added.subtracting(selection.removed).members.map { "+\($0)" }
    let removed = selection.removed.members.map { "-\($0)" }
    return ([base].compactMap(\.self) + added + removed).joined(separator: ",")
  }

  /// One name, with its sign.
  private mutating func choose(
    _ word: String, hasBase: Bool, choices isOnlyWord: Bool
  ) throws(SpecValueError) {
    let sign = word.first.flatMap { "+-".contains($0) ? $0 : nil }
    let name = sign == nil ? word : String(word.dropFirst())
    guard let feature = Enlightenments.named(name) else {
      if Self.bases.contains(where: { $0.word == name }) && !isOnlyWord {
        throw SpecValueError("\(QuotedText(word)) can only be the first word")
      }
      let choices =
        Enlightenments.names
        + (isOnlyWord && sign == nil ? Self.bases.map(\.word) : [])
        + HyperVParameter.Key.allCases.map { "\($0.rawValue)=\($0.placeholder)" }
      throw .unknown(name, choices: choices)
    }
    guard hasBase || sign == nil else {
      throw SpecValueError(
        "begin with none, default or all, so that \(QuotedText(word)) has something to change: "
          + "'default,\(word)'")
    }
    if sign == "-" {
      selection.removed.formUnion(feature)
    } else {
      selection.added.formUnion(feature)
    }
  }

  /// What a word is about, without sign or value: no two may be about the same.
  private static func subject(of word: String) -> String {
    let name = word.prefix { $0 != "=" }
    let bare = name.drop { $0 == "+" || $0 == "-" }
    return bare == "avic" ? "apicv" : String(bare)
  }
}

/// One `KEY=VALUE` of the list.
private struct HyperVParameter {
  enum Key: String, CaseIterable {
    case spinlocks
    case version
    case vendor = "vendor-id"

    var placeholder: String {
      switch self {
      case .spinlocks: "N"
      case .version: "10.0.20348"
      case .vendor: "TEXT"
      }
    }
  }

  let key: Key
  let value: String

  /// Nil if the word has no value and should have none.
  init?(parsing word: String) throws(SpecValueError) {
    let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard let key = Key(rawValue: String(parts[0])) else { return nil }
    guard parts.count == 2, !parts[1].isEmpty else {
      throw SpecValueError(
        "'\(key.rawValue)' needs a value: '\(key.rawValue)=\(key.placeholder)'")
    }
    self.key = key
    value = String(parts[1])
  }

  func apply(to parameters: inout HyperVParameters) throws(SpecValueError) {
    let part = "\(key.rawValue)="
    switch key {
    case .spinlocks:
      guard let count = Self.number(value), count > 0, count < HyperVParameters.neverNotifies else {
        throw SpecValueError(
          "\(QuotedText(value)) is not a number of tries from 1 to 4294967294, such as 4095",
          part: part)
      }
      parameters.spinRetryCount = count
    case .version:
      parameters.version = try EnlightenmentChoice.version(parsing: value, part: part)
    case .vendor:
      parameters.vendor = try EnlightenmentChoice.vendor(parsing: value, part: part)
    }
  }

  /// Decimal, or hexadecimal after `0x`.
  private static func number(_ text: String) -> UInt32? {
    text.hasPrefix("0x") ? UInt32(text.dropFirst(2), radix: 16) : UInt32(text)
  }
}

extension EnlightenmentChoice {
  static func version(
    parsing text: String, part: String = ""
  ) throws(SpecValueError) -> HypervisorVersion {
    guard let version = HypervisorVersion(text) else {
      throw SpecValueError(
        "\(QuotedText(text)) is not a version such as 10.0.20348, 10.0.20348.1 or "
          + "10.0.20348.1-0-0", part: part)
    }
    return version
  }

  static func vendor(
    parsing text: String, part: String = ""
  ) throws(SpecValueError) -> HypervisorVendor {
    guard let vendor = HypervisorVendor(text) else {
      throw SpecValueError(
        "\(QuotedText(text)) is not a text of 1 to 12 printable ASCII characters", part: part)
    }
    return vendor
  }
}
