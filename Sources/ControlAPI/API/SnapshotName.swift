/// What a saved machine is called: a name of a file that leads nowhere else.
package struct SnapshotName: Hashable, Sendable, CustomStringConvertible {
  package static let maximumCount = 64
  /// The same in words of JSON Schema.
  package static let pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

  package let description: String

  /// Nil for any other text.
  package init?(_ text: String) {
    func isAlphanumeric(_ byte: UInt8) -> Bool {
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
      default: false
      }
    }
    guard let first = text.utf8.first, isAlphanumeric(first),
      text.utf8.count <= Self.maximumCount,
      text.utf8.allSatisfy({ isAlphanumeric($0) || "._-".utf8.contains($0) })
    else { return nil }
    description = text
  }
}
