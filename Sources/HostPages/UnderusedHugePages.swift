internal import Glibc

/// Takes huge pages apart whose parts are mostly zero.
///
/// When the kernel splits a huge page of private memory, it looks which of its 4 KiB parts are all
/// zero, maps the shared zero page in their place and frees them (Linux 6.12, "split underused
/// THPs"). That is one operation for all who use the memory: the page leaves all page tables, those
/// of KVM too, before it is read, writers wait in their faults, and a page that somebody has pinned
/// is not split. No byte of the memory changes.
///
/// It splits a huge page when it is told that a part of it is cold (*MADV_COLD*): the other parts
/// may be warm.
///
/// Safe from any thread.
package enum UnderusedHugePages {
  /// A huge page of x86-64.
  package static let byteCount = 2 << 20
  package static let pageCount = byteCount / Int(HostRange.pageByteCount)

  /// Has the kernel split the huge page at `address`, which is one of private memory. It may
  /// decline, without a word.
  package static func split(at address: UInt) {
    precondition(address % UInt(byteCount) == 0, "no huge page begins at \(address)")
    // SAFETY: advice about mapped memory, which changes no byte. An address without memory is an
    // error of the call.
    _ = unsafe madvise(
      UnsafeMutableRawPointer(bitPattern: address), Int(HostRange.pageByteCount),
      MemoryAdvice.cold)
  }

  /// Has the kernel not put a page together again that was split: khugepaged would do so within
  /// seconds, with memory for what is zero (*max_ptes_none* is 511 where nobody changed it).
  ///
  /// It may make two mappings more of one, of which a process can have 65530.
  ///
  /// - Returns: false if it is as it was.
  package static func keepApart(at address: UInt) -> Bool {
    // SAFETY: as above.
    unsafe madvise(UnsafeMutableRawPointer(bitPattern: address), byteCount, MADV_NOHUGEPAGE) == 0
  }

  /// What keeps it from working here; nil if nothing does. A kernel that splits without freeing
  /// would cost the guest its huge pages for nothing.
  ///
  /// Asks the running kernel: makes a huge page, and looks what is left of it.
  package static func obstacle() -> HostPagesError? {
    do throws(HostPagesError) {
      let pages = try ProbePages(count: 2 * pageCount)
      let address = (pages.range.start + UInt(byteCount) - 1) & ~UInt(byteCount - 1)
      let first = Int(address - pages.range.start) / Int(HostRange.pageByteCount)
      let populated = try PopulatedPages()
      func runs() throws(HostPagesError) -> [PopulatedPages.Run] {
        var runs: [PopulatedPages.Run] = []
        try populated.forEachRun(of: HostRange(start: address, byteCount: byteCount)) {
          runs.append($0)
        }
        return runs
      }
      pages.write(toPage: first + 1)
      // SAFETY: pages of the probe, whose bytes stay.
      let result = unsafe madvise(
        UnsafeMutableRawPointer(bitPattern: address), byteCount, MemoryAdvice.collapse)
      let error = errno
      guard result == 0 else {
        return .call(
          operation: "MADV_COLLAPSE of a huge page, to see whether the zero pages of one can be"
            + " given back", errno: error, cure: "it needs Linux 6.12 with transparent huge pages")
      }
      let before = try runs()
      guard before.contains(where: \.isHuge) else {
        return .wrongAnswer("MADV_COLLAPSE made no huge page: \(before.map(\.pages)) populated")
      }
      split(at: address)
      let after = try runs()
      guard after == [PopulatedPages.Run(pages: 1..<2)] else {
        return .wrongAnswer(
          "this kernel does not give back the zero pages of a huge page that it splits"
            + " (\(after.map(\.pages)) of 1..<2 populated); that needs Linux 6.12")
      }
      return nil
    } catch {
      return error
    }
  }
}
