/// What a driver did to a queue that no driver may do. The device then needs a reset.
package enum VirtqueueFault: Error, Equatable {
  /// A ring, a table or a buffer is not all in RAM.
  case notRAM
  /// The size or the alignment of a ring is none there is.
  case layout
  /// More is available than the ring has entries.
  case overrun
  /// A descriptor that is not in its table.
  case badIndex
  /// A chain with more descriptors than the ring has entries, so also one with a loop.
  case tooLong
  /// A buffer for reading behind one for writing.
  case badOrder
  /// No room for what every answer has.
  case tooShort
  /// A table of descriptors in a table, beside other descriptors, of an odd length, or without the
  /// feature.
  case badTable
}
