/// A name or a path in the ACPI namespace (*NameString*, ACPI 6.3 §20.2.2), written as in ASL:
/// `_CRS`, `\_SB`, `PCI0.LPC`. Segments shorter than four characters are padded with `_`.
struct AMLName: Hashable, Sendable, ExpressibleByStringLiteral {
  private enum Prefix {
    static let dual: UInt8 = 0x2E
    static let multi: UInt8 = 0x2F
    static let root: UInt8 = 0x5C
    static let parent: UInt8 = 0x5E
  }

  /// The encoded name.
  let bytes: [UInt8]

  /// Parses `text`; a name that ASL does not allow is our own mistake and traps.
  init(_ text: String) {
    let characters = Array(text.utf8)
    let path = characters.drop { $0 == Prefix.root || $0 == Prefix.parent }
    let prefix = characters.prefix(characters.count - path.count)
    precondition(
      prefix.count < 2 || !prefix.contains(Prefix.root), "AML name \(text): root within a path")
    let segments = path.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    precondition(segments.count < 256, "AML name \(text): more than 255 segments")
    var encoded = Array(prefix)
    switch segments.count {
    case 1: break
    case 2: encoded.append(Prefix.dual)
    default: encoded += [Prefix.multi, UInt8(segments.count)]
    }
    for segment in segments {
      precondition(Self.isSegment(segment), "AML name \(text): not a segment of 1 to 4 characters")
      encoded += segment + Array(repeating: UInt8(ascii: "_"), count: 4 - segment.count)
    }
    bytes = encoded
  }

  init(stringLiteral text: String) {
    self.init(text)
  }

  /// A capital letter or `_`, then up to three of these or digits (*NameSeg*).
  private static func isSegment(_ characters: ArraySlice<UInt8>) -> Bool {
    guard let first = characters.first, characters.count <= 4 else { return false }
    return isLead(first)
      && characters.allSatisfy {
        isLead($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
      }
  }

  private static func isLead(_ character: UInt8) -> Bool {
    (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(character) || character == UInt8(ascii: "_")
  }
}
