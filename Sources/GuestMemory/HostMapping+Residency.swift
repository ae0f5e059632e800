internal import Glibc

extension HostMapping {
  /// Bytes allocated to the shared memory file.
  func allocatedByteCount() throws(GuestMemoryError) -> UInt64 {
    var status = stat()
    // SAFETY: status is a local of the type that fstat fills.
    let result = unsafe fstat(descriptor, &status)
    let error = errno
    guard result == 0 else { throw .residency(operation: "fstat", errno: error) }
    // st_blocks counts 512 bytes whatever the page size (inode(7)).
    return UInt64(status.st_blocks) * 512
  }
}
