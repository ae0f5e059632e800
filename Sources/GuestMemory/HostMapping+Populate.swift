internal import Glibc

extension HostMapping {
  /// HVA of the first byte.
  var hostAddress: UInt {
    unsafe UInt(bitPattern: base)
  }

  /// Asks for transparent huge pages; a kernel without them declines, which is no failure.
  func adviseHugePages() {
    guard backing != .hugetlb else { return }
    // SAFETY: the whole mapping; the advice changes no byte.
    _ = unsafe madvise(base, byteCount, MADV_HUGEPAGE)
  }

  /// Asks for huge pages here and now; the kernel may decline.
  func collapse(_ offset: Int, _ byteCount: Int) {
    let bytes = unsafe bytes(offset, byteCount)
    // SAFETY: pages of this mapping; the advice changes no byte.
    _ = unsafe madvise(bytes.baseAddress, byteCount, MemoryABI.collapse)
  }

  /// Allocates every page, zeroed. Before any guest runs: nobody else uses the memory yet.
  func populate() throws(GuestMemoryError) {
    while true {
      // SAFETY: the whole mapping; populating changes no byte.
      let result = unsafe madvise(base, byteCount, MemoryABI.populateForWriting)
      let error = errno
      if result == 0 { return }
      if error == EINTR { continue }
      // Linux before 5.14 does not know the advice.
      if error == EINVAL { return touchAll() }
      throw .allocation(
        backing, operation: "MADV_POPULATE_WRITE", byteCount: UInt64(byteCount), errno: error)
    }
  }

  private func touchAll() {
    for offset in stride(from: 0, to: byteCount, by: backing.pageByteCount) {
      // SAFETY: offset < byteCount. The page is zero before and after.
      unsafe base.storeBytes(of: 0, toByteOffset: offset, as: UInt8.self)
    }
  }
}
