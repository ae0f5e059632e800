/// What the user has a machine call itself; what is not set is the monitor's own.
public struct SMBIOSTexts: Hashable, Sendable {
  /// What a text is of, by the name that people give it.
  public enum Key: String, Hashable, Sendable, CaseIterable {
    /// Of the system and of its enclosure.
    case manufacturer
    case product
    case version
    case serial
    case sku
    case family
    /// The enclosure's asset tag.
    case asset
  }

  /// What the specification's first editions allow, and some readers still expect.
  public static let maximumByteCount = 64
  /// Of an OEM string, which has no limit of its own.
  public static let maximumOEMByteCount = 255
  public static let maximumOEMCount = 32

  private var texts: [Key: String] = [:]
  /// *OEM Strings*: what a program in the guest looks for.
  public private(set) var oemStrings: [String] = []

  /// Nothing set.
  public init() {}

  /// A text that is `isText`; nil for the monitor's own.
  public subscript(key: Key) -> String? {
    get { texts[key] }
    set {
      precondition(newValue.map { Self.isText($0) } ?? true, "SMBIOS \(key)")
      texts[key] = newValue
    }
  }

  /// Adds an OEM string that is `isOEMText`; at most `maximumOEMCount`.
  public mutating func addOEMString(_ text: String) {
    precondition(Self.isOEMText(text) && oemStrings.count < Self.maximumOEMCount, "SMBIOS OEM")
    oemStrings.append(text)
  }

  /// Printable ASCII, no space at its ends, which readers cut.
  public static func isText(_ text: String) -> Bool {
    isText(text, maximumByteCount: maximumByteCount)
  }

  /// The same, and longer.
  public static func isOEMText(_ text: String) -> Bool {
    isText(text, maximumByteCount: maximumOEMByteCount)
  }

  private static func isText(_ text: String, maximumByteCount: Int) -> Bool {
    let bytes = Array(text.utf8)
    return (1...maximumByteCount).contains(bytes.count)
      && bytes.allSatisfy { (0x20...0x7E).contains($0) } && bytes.first != 0x20
      && bytes.last != 0x20
  }
}
