/// What adds memory to a machine that runs. Any thread.
package protocol GuestMemoryGrowth: AnyObject, Sendable {
  /// Memory comes in multiples of this, itself one of 128 MiB.
  var stepByteCount: UInt64 { get }
  /// What can still be added.
  var leftByteCount: UInt64 { get }
  /// The pages of what was added.
  var addedPages: Range<UInt64> { get }

  /// Makes the next bytes RAM, zero and tracked; the guest is not told.
  ///
  /// - Returns: their pages; nil if there is no room, or the host does not give them, now.
  func grow(by byteCount: UInt64) -> Range<UInt64>?
}
