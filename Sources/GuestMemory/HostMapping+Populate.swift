internal import Glibc
internal import HostPages

extension HostMapping {
  /// HVA of the first byte.
  var hostAddress: UInt {
    unsafe UInt(bitPattern: base)
  }

  /// Asks for transparent huge pages; a kernel without them declines, which is no failure.
  func adviseHugePages() { adviseHugePages(0, byteCount) }

  func adviseHugePages(_ offset: Int, _ byteCount: Int) {
    guard backing != .hugetlb else { return }
    let bytes = unsafe bytes(offset, byteCount)
    // SAFETY: pages of this mapping; the advice changes no byte.
    _ = unsafe madvise(bytes.baseAddress, byteCount, MADV_HUGEPAGE)
  }

  /// Asks for huge pages here and now; the kernel may decline.
  func collapse(_ offset: Int, _ byteCount: Int) {
    let bytes = unsafe bytes(offset, byteCount)
    // SAFETY: pages of this mapping; the advice changes no byte.
    _ = unsafe madvise(bytes.baseAddress, byteCount, MemoryAdvice.collapse)
  }

  /// How much is allocated at a time: whole pages of each backing, and a few milliseconds on most
  /// hosts.
  static let populatedByteCount = 32 << 20

  /// Allocates every page, zeroed. Before any guest runs: the memory has no other user yet.
  ///
  /// - Parameter goesOn: asked after each piece, with how many bytes it had.
  /// - Throws: `.interrupted` when that says no; `.allocation`.
  func populate(goesOn: (_ byteCount: Int) -> Bool) throws(GuestMemoryError) {
    for offset in stride(from: 0, to: byteCount, by: Self.populatedByteCount) {
      let count = min(Self.populatedByteCount, byteCount - offset)
      try populate(offset, count)
      guard goesOn(count) else { throw .interrupted }
    }
  }

  private func populate(_ offset: Int, _ count: Int) throws(GuestMemoryError) {
    while true {
      // SAFETY: pages of this mapping; populating changes no byte.
      let result = unsafe madvise(base + offset, count, MemoryAdvice.populateForWriting)
      let error = errno
      if result == 0 { return }
      if error == EINTR { continue }
      // Linux before 5.14 does not know the advice.
      if error == EINVAL { return touch(offset, count) }
      throw .allocation(
        backing, operation: "MADV_POPULATE_WRITE", byteCount: UInt64(byteCount), errno: error)
    }
  }

  private func touch(_ start: Int, _ count: Int) {
    for offset in stride(from: start, to: start + count, by: backing.pageByteCount) {
      // SAFETY: offset < byteCount. The page is zero before and after.
      unsafe base.storeBytes(of: 0, toByteOffset: offset, as: UInt8.self)
    }
  }
}
