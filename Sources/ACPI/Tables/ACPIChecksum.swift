/// A byte that makes all bytes from a table's start up to some end sum to zero.
package struct ACPIChecksum: Hashable, Sendable {
  /// Where the byte is.
  package let byteOffset: Int
  /// How many bytes from the table's start on it covers, itself among them.
  package let coveredByteCount: Int
}
