internal import Glibc

extension HostMapping {
  /// Frees the host memory of whole pages, which read as zero from then on. `address` is for
  /// messages.
  ///
  /// Private memory is dropped from the page tables. Shared memory stays in its file when that is
  /// done, so a hole is punched into the file (*MADV_REMOVE*), which takes it out of all page
  /// tables as well.
  func discard(_ range: Range<Int>, at address: GPA) throws(GuestMemoryError) {
    switch backing {
    case .anonymous:
      try advise(MADV_DONTNEED, "MADV_DONTNEED", range, at: address)
    case .memfd:
      try advise(MADV_REMOVE, "MADV_REMOVE", range, at: address)
    case .hugetlb:
      try advise(MADV_REMOVE, "MADV_REMOVE", range, at: address)
      try reserveHugePages(range, at: address)
    }
  }

  private func advise(
    _ advice: Int32, _ operation: String, _ range: Range<Int>, at address: GPA
  ) throws(GuestMemoryError) {
    let bytes = unsafe bytes(range.lowerBound, range.count)
    while true {
      // SAFETY: whole pages of this mapping; the loss of their bytes is what is asked for.
      let result = unsafe madvise(bytes.baseAddress, bytes.count, advice)
      let error = errno
      if result == 0 { return }
      // Repeating is harmless: what is discarded already stays so.
      guard error == EINTR || error == EAGAIN else {
        throw .system(operation: operation, address, byteCount: range.count, errno: error)
      }
    }
  }

  /// Reserves the file's pages again: punching gave the reservation up with them, and without one
  /// the guest's next access is a bus error when the pool is empty. A second mapping of a shared
  /// file reserves what is not, and the reservation stays with the file when the mapping goes.
  ///
  /// Another process may take the pages in between; then this fails, and so may the guest.
  private func reserveHugePages(_ range: Range<Int>, at address: GPA) throws(GuestMemoryError) {
    // SAFETY: a new mapping at a place of the kernel's choice, not accessed.
    let mapping = unsafe mmap(
      nil, range.count, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, off_t(range.lowerBound))
    let error = errno
    guard unsafe mapping != MAP_FAILED else {
      throw .hugePagesLost(address, byteCount: range.count, errno: error)
    }
    // SAFETY: exactly what was mapped above.
    _ = unsafe munmap(mapping, range.count)
  }
}
