/// A place in a table that holds the address of another one.
package struct ACPITablePointer: Hashable, Sendable {
  /// Where the address is.
  package let byteOffset: Int
  /// How long it is: 4 or 8 bytes.
  package let byteCount: Int
  /// Whose address it is.
  package let target: ACPITableID
}
