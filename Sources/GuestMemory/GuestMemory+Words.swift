internal import Bytes

extension GuestMemory {
  /// The little-endian 8 bytes at `address`; nil if they are not all RAM.
  ///
  /// What `load` gives, by the shortest way: a walk of page tables loads several for each hypercall
  /// of the userspace transport (`measure exits`). Any thread. Not atomic.
  package func word(at address: GPA) -> UInt64? {
    guard let bytes = unsafe bytes(at: address, 8) else { return nil }
    // SAFETY: 8 bytes, as asked for.
    return unsafe UnsafeRawBufferPointer(bytes).loadLE(byteCount: 8)
  }
}
