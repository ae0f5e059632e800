internal import HyperVCore

/// The parts of the Hyper-V interface that the guest is offered, as `--hyperv-features` names them.
///
/// A list of words, separated by commas: first `none`, `default` or `all`, then names, each added,
/// or removed if a `-` is before it, and `KEY=VALUE`. Without the first word, names alone are
/// exactly what the guest gets, and values alone go with the default.
struct HyperVFeatureChoice: Equatable, Sendable {
  /// What the guest gets, as far as this host has it.
  var selection = EnlightenmentSelection.recommended
  var parameters = HyperVParameters()

  private static let bases: [(word: String, base: EnlightenmentSelection.Base)] = [
    ("none", .none), ("default", .recommended), ("all", .all),
  ]
  private static let option = OptionDefinition.hyperVFeatures.name

  init(selection: EnlightenmentSelection = .recommended) {
    self.selection = selection
  }

  /// Nothing is added silently: a name whose requirements are not in the list is an error, here if
  /// the list begins with `none` or a name, otherwise when the host has been asked.
  init(parsing text: String) throws(UsageError) {
    var words = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    let base = Self.bases.first { $0.word == words[0] }?.base
    if base != nil { words.removeFirst() }
    var names: Set<String> = []
    for word in words {
      guard names.insert(Self.subject(of: word)).inserted else {
        throw .repeatedWord(option: Self.option, Self.subject(of: word))
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
      throw .valuesForNothing(option: Self.option)
    }
    do throws(EnlightenmentError) {
      try features.validate()
    } catch {
      throw .invalidFeatures(option: Self.option, error)
    }
  }

  /// One name, with its sign.
  private mutating func choose(
    _ word: String, hasBase: Bool, choices isOnlyWord: Bool
  ) throws(UsageError) {
    let sign = word.first.flatMap { "+-".contains($0) ? $0 : nil }
    let name = sign == nil ? word : String(word.dropFirst())
    guard let feature = Enlightenments.named(name) else {
      if Self.bases.contains(where: { $0.word == name }) && !isOnlyWord {
        throw .baseNotFirst(option: Self.option, word)
      }
      let choices =
        Enlightenments.names
        + (isOnlyWord && sign == nil ? Self.bases.map(\.word) : [])
        + HyperVParameter.Key.allCases.map { "\($0.rawValue)=\($0.placeholder)" }
      throw .unknownChoice(
        option: Self.option, name, choices: choices,
        nearest: NearestName.nearest(to: name, among: choices))
    }
    guard hasBase || sign == nil else { throw .signWithoutBase(option: Self.option, word) }
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
  init?(parsing word: String) throws(UsageError) {
    let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard let key = Key(rawValue: String(parts[0])) else { return nil }
    guard parts.count == 2, !parts[1].isEmpty else {
      throw .missingFeatureValue(
        option: OptionDefinition.hyperVFeatures.name, key.rawValue, placeholder: key.placeholder)
    }
    self.key = key
    value = String(parts[1])
  }

  func apply(to parameters: inout HyperVParameters) throws(UsageError) {
    let option = "\(OptionDefinition.hyperVFeatures.name) \(key.rawValue)="
    switch key {
    case .spinlocks:
      guard let count = Self.number(value), count > 0, count < HyperVParameters.neverNotifies else {
        throw .invalidFeatureValue(
          option: option, value, expected: "a number of tries from 1 to 4294967294, such as 4095")
      }
      parameters.spinRetryCount = count
    case .version:
      guard let version = HypervisorVersion(value) else {
        throw .invalidFeatureValue(
          option: option, value,
          expected: "a version such as 10.0.20348, 10.0.20348.1 or 10.0.20348.1-0-0")
      }
      parameters.version = version
    case .vendor:
      guard let vendor = HypervisorVendor(value) else {
        throw .invalidFeatureValue(
          option: option, value, expected: "a text of 1 to 12 printable ASCII characters")
      }
      parameters.vendor = vendor
    }
  }

  /// Decimal, or hexadecimal after `0x`.
  private static func number(_ text: String) -> UInt32? {
    text.hasPrefix("0x") ? UInt32(text.dropFirst(2), radix: 16) : UInt32(text)
  }
}
