internal import MachineSpecification
internal import RemoteFramebuffer

/// Where viewers of the display connect, and who may.
struct VNCOptions: Equatable, Sendable {
  /// The word for no viewers, which is also the default.
  private static let off = "none"

  var address: VNCAddress
  /// A password is the first line of this file.
  var passwordFile: String?
  var layout = LayoutChoice.us

  /// Nil for no viewers.
  ///
  /// - Throws: also for an address that other hosts reach without a password.
  init?(_ parsed: ParsedOptions) throws(UsageError) {
    let given = try parsed.value(.vnc) { (text) throws(SpecValueError) -> VNCAddress? in
      try Self.address(text)
    }
    guard let address = given ?? nil else { return nil }
    self.address = address
    passwordFile = parsed.text(.vncPasswordFile)
    layout = try parsed.choice(.vncKeyboard) ?? layout
    guard address.isLocal || passwordFile != nil else {
      throw .invalidValue(
        option: OptionDefinition.vnc.name,
        SpecValueError(
          "other hosts reach \(QuotedText(address.description)): give '"
            + "\(OptionDefinition.vncPasswordFile.synopsis)' too, or an address of this host alone")
      )
    }
  }

  private static func address(_ text: String) throws(SpecValueError) -> VNCAddress? {
    if text == off { return nil }
    guard let address = VNCAddress(text) else {
      throw SpecValueError(
        "\(QuotedText(text)) is not [HOST]:DISPLAY, unix:PATH or none; a host is localhost or an"
          + " address in numbers, a display 0 to \(VNCAddress.lastDisplay)")
    }
    return address
  }

  /// Where the guest has its characters, for viewers that send characters and no places of keys.
  enum LayoutChoice: String, CaseIterable, Sendable, Codable, SpecChoice {
    case us
    case de

    var layout: KeyboardLayout {
      switch self {
      case .us: .us
      case .de: .de
      }
    }
  }
}
