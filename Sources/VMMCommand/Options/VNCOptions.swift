internal import MachineSpecification
internal import RemoteFramebuffer

/// Where viewers of the display connect, and who may.
struct VNCOptions: Equatable, Sendable {
  /// The word for no viewers, which is also the default.
  static let off = "none"
  /// The word for the first display of this host that is free.
  static let firstFree = "auto"

  /// Nil for the first display of this host that is free.
  var address: VNCAddress?
  /// A password is the first line of this file.
  var passwordFile: String?
  var layout = LayoutChoice.us

  /// Nil for no viewers.
  ///
  /// - Parameter usual: what counts without `--vnc`: `none` or `auto`.
  /// - Throws: also for an address that other hosts reach without a password.
  init?(_ parsed: ParsedOptions, usual: String = off) throws(UsageError) {
    let text = parsed.text(.vnc) ?? usual
    if text == Self.off { return nil }
    if text != Self.firstFree {
      address = try parsed.checked(.vnc) { () throws(SpecValueError) in try Self.address(text) }
    }
    passwordFile = parsed.text(.vncPasswordFile)
    layout = try parsed.choice(.vncKeyboard) ?? layout
    if let address, !address.isLocal, passwordFile == nil {
      throw .invalidValue(
        option: OptionDefinition.vnc.name,
        SpecValueError(
          "other hosts reach \(QuotedText(address.description)): give '"
            + "\(OptionDefinition.vncPasswordFile.synopsis)' too, or an address of this host alone")
      )
    }
  }

  /// Where a socket is made; nil for none.
  var socketPath: String? {
    guard case .unix(let bytes)? = address else { return nil }
    return ArgumentText.string(from: bytes)
  }

  private static func address(_ text: String) throws(SpecValueError) -> VNCAddress {
    guard let address = VNCAddress(text, pathBytes: ArgumentText.bytes) else {
      throw SpecValueError(
        "\(QuotedText(text)) is not [HOST]:DISPLAY, unix:PATH, auto or none; a host is localhost or"
          + " an address in numbers, a display 0 to \(VNCAddress.lastDisplay)")
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
