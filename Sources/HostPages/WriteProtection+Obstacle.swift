internal import Glibc

extension WriteProtection {
  /// What keeps it from working here; nil if nothing does.
  ///
  /// Asks the running kernel: protects two pages of its own, writes to one, and reads which it was.
  public static func obstacle() -> HostPagesError? {
    let byteCount = 2 * Int(HostRange.pageByteCount)
    // SAFETY: new memory at a place of the kernel's choice.
    let mapping = unsafe mmap(
      nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    let error = errno
    guard let base = unsafe mapping, unsafe base != MAP_FAILED else {
      return .call(operation: "mmap \(byteCount) bytes", errno: error, cure: nil)
    }
    // SAFETY: exactly what was mapped above, and no longer used.
    defer { _ = unsafe munmap(base, byteCount) }
    do throws(HostPagesError) {
      let range = HostRange(start: UInt(bitPattern: base), byteCount: byteCount)
      let protection = try WriteProtection([range])
      try protection.arm()
      // SAFETY: the second page of the mapping.
      unsafe base.storeBytes(of: 1, toByteOffset: byteCount / 2, as: UInt8.self)
      var words: [UInt64] = [0]
      var span = words.mutableSpan
      try protection.readWrittenPages(of: range, into: &span)
      try protection.end()
      guard words == [0b10] else {
        return .wrongAnswer(
          "PAGEMAP_SCAN after a write to page 1 of 2: written pages 0b\(String(words[0], radix: 2)),"
            + " not 0b10; this kernel's write protection cannot be relied on")
      }
      return nil
    } catch {
      return error
    }
  }
}
