package import SMBIOS

extension SMBIOSTexts {
  /// Sets a text that a user gave.
  ///
  /// - Parameter part: what of the value the text is, for messages.
  package mutating func set(
    _ key: Key, checking text: String, part: String = ""
  ) throws(SpecValueError) {
    guard Self.isText(text) else { throw Self.error(text, Self.maximumByteCount, part) }
    self[key] = text
  }

  /// Adds an OEM string that a user gave.
  package mutating func addOEMString(
    checking text: String, part: String = ""
  ) throws(SpecValueError) {
    guard Self.isOEMText(text) else { throw Self.error(text, Self.maximumOEMByteCount, part) }
    guard oemStrings.count < Self.maximumOEMCount else {
      throw SpecValueError("more than \(Self.maximumOEMCount) texts are too many", part: part)
    }
    addOEMString(text)
  }

  private static func error(
    _ text: String, _ maximumByteCount: Int, _ part: String
  ) -> SpecValueError {
    SpecValueError(
      "\(QuotedText(text)) is no text of 1 to \(maximumByteCount) characters of ASCII, none a "
        + "control character, the first and last no space", part: part)
  }
}

extension SMBIOSTexts {
  private static let oemMember = "oem"

  init(_ object: inout SpecObject) throws(MachineSpecError) {
    self.init()
    for key in Key.allCases {
      guard let text = try object.text(key.rawValue) else { continue }
      try object.checked(key.rawValue) { () throws(SpecValueError) in
        try set(key, checking: text)
      }
    }
    for text in try object.texts(Self.oemMember) ?? [] {
      try object.checked(Self.oemMember) { () throws(SpecValueError) in
        try addOEMString(checking: text)
      }
    }
  }

  /// Null if nothing is set.
  var value: JSONValue {
    var members = Key.allCases.compactMap { key in
      self[key].map { JSONValue.Member(name: key.rawValue, value: .text($0)) }
    }
    if !oemStrings.isEmpty {
      members.append(
        JSONValue.Member(name: Self.oemMember, value: .array(oemStrings.map { .text($0) })))
    }
    return members.isEmpty ? .null : .object(members)
  }
}
