/// Guest memory as the dispatcher sees it: where input comes from, and where a reply goes.
///
/// Implementations get addresses that a guest chose. They must survive every one of them, including
/// `address + byteCount` equal to 2^64, and must be safe to call from the thread that dispatches.
/// The dispatcher asks only for ranges inside one 4 KiB page.
public protocol HypercallMemory: ~Copyable {
  /// Whether all `byteCount` bytes from a GPA (in bytes) on are RAM that the guest itself may
  /// write.
  ///
  /// False for holes, ROM and device memory: a hypercall must not become a way around the guest's
  /// own access rights.
  func isWritable(_ address: GuestAddress, byteCount: Int) -> Bool

  /// Writes all bytes at a GPA (in bytes), or none.
  ///
  /// Returns false if not possible, leaving memory as it was. An implementation with a record of
  /// touched pages marks the page before its bytes change.
  func write(_ bytes: RawSpan, at address: GuestAddress) -> Bool

  /// Copies guest RAM from a GPA (in bytes) on into all of `bytes`.
  ///
  /// Returns false if not possible; `bytes` then has any content. Only calls with input need it:
  /// neither 0x8001 nor 0x8002 has any, so the default reads nothing.
  func read(into bytes: inout MutableRawSpan, at address: GuestAddress) -> Bool
}

extension HypercallMemory where Self: ~Copyable {
  public func read(into bytes: inout MutableRawSpan, at address: GuestAddress) -> Bool { false }
}
