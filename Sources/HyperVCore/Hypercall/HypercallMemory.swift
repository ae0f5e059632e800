/// Guest memory as the hypercall handlers see it: a place to put a reply.
///
/// Implementations get addresses that a guest chose. They must survive every one of them, including
/// `address + byteCount` equal to 2^64, and must be safe to call from the thread that dispatches.
/// A handler asks only for ranges inside one 4 KiB page.
public protocol HypercallMemory: ~Copyable {
  /// Whether all `byteCount` bytes from a GPA (in bytes) on are RAM that the guest itself may write.
  ///
  /// False for holes, ROM and device memory: a hypercall must not become a way around the guest's
  /// own access rights.
  func isWritable(_ address: GuestAddress, byteCount: Int) -> Bool

  /// Writes all bytes at a GPA (in bytes), or none.
  ///
  /// Returns false if not possible, leaving memory as it was. An implementation with a record of
  /// touched pages marks the page before its bytes change.
  func write(_ bytes: RawSpan, at address: GuestAddress) -> Bool
}
