internal import Glibc

extension GuestMemory {
  /// How many bytes of guest RAM the host backs with memory now; a multiple of 4 KiB.
  ///
  /// - `anonymous`: resident pages of the mapping, from /proc/self/smaps. The shared zero page,
  ///   which a guest's read of an unused page maps, does not count; nor do swapped pages.
  /// - `memfd`, `hugetlb`: allocated blocks of the file. Here a read does allocate. Swapped pages
  ///   count.
  ///
  /// Not for hot paths: the kernel walks the page tables of the whole process for `anonymous`. Any
  /// thread; while the guest runs the number is old when returned.
  ///
  /// - Throws: `GuestMemoryError.residency` if the system does not say.
  public func residentByteCount() throws(GuestMemoryError) -> UInt64 {
    if backing == .anonymous {
      return try ProcessMaps.residentByteCount(
        of: mappings.map { $0.hostAddress..<($0.hostAddress + UInt($0.byteCount)) })
    }
    var total: UInt64 = 0
    for mapping in mappings { total += try mapping.allocatedByteCount() }
    return total
  }
}

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
