internal import CKVM
internal import Glibc
internal import HostSystem

/// /proc/self/pagemap and its ioctl PAGEMAP_SCAN (Linux 6.7,
/// Documentation/admin-guide/mm/pagemap.rst).
struct Pagemap: ~Copyable, Sendable {
  private let descriptor: FileDescriptor

  /// Regions that one call may return: 24 KiB, reused for all calls.
  private static let regionLimit = 1024

  init() throws(HostPagesError) {
    // Not /proc/self, which has the owner of the first thread: that may be gone or another user.
    let path = "/proc/thread-self/pagemap"
    // SAFETY: the path is a C string for the time of the call.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    let error = errno
    guard descriptor >= 0 else {
      let cure: String? =
        switch error {
        case ENOENT: "mount /proc; the kernel needs CONFIG_PROC_PAGE_MONITOR=y"
        case EACCES, EPERM:
          "a process that changed its user or was started from an unreadable file is not dumpable"
            + " and may not see its own page tables: set PR_SET_DUMPABLE"
        default: nil
        }
      throw .call(operation: "open \(path)", errno: error, cure: cure)
    }
    self.descriptor = FileDescriptor(taking: descriptor)
  }

  /// What is asked of the pages.
  enum Question {
    /// Which were written to, of memory that is protected: regions have *PAGE_IS_WRITTEN* or not.
    case written
    /// Which are present or swapped out, the shared zero page, huge: regions have the categories.
    case population
  }

  /// Gives `body` all regions of a range, ascending, as `scan` finds them in one piece after the
  /// other: no call keeps others from changing the mappings for more than 1 GiB.
  ///
  /// - Throws: what `scan` and `body` throw; `registrationLost` if some of the range is not mapped.
  func forEachRegion(
    of range: HostRange, for question: Question,
    _ body: (page_region) throws(HostPagesError) -> Void
  ) throws(HostPagesError) {
    var regions = [page_region](repeating: page_region(), count: Self.regionLimit)
    for piece in range.pieces {
      var cursor = piece.start
      while cursor < piece.end {
        let (count, next) = try scan(
          cursor..<piece.end, of: range, for: question, into: &regions)
        // The kernel clips regions to the addresses it was given, huge pages too.
        for region in regions[..<count] { try body(region) }
        cursor = next
      }
    }
    // PAGEMAP_SCAN passes over what is not mapped without a word.
    guard HostPageState.isMapped(range) else { throw .registrationLost(range) }
  }

  /// Finds what in `addresses` has an entry in the page tables: a page, swapped out or not, or the
  /// marker that stands for protection where no page is. Neighbours that are alike become one
  /// region, with what was asked for in `categories`. What is in no region has no entry.
  ///
  /// - Parameter regions: `regionLimit` of them, overwritten from the start.
  /// - Returns: how many regions were found, and where the next call has to start.
  /// - Throws: `registrationLost`, naming `range`, if any of it is mapped but not registered,
  ///   asked which pages were written.
  private func scan(
    _ addresses: Range<UInt>, of range: HostRange, for question: Question,
    into regions: inout [page_region]
  ) throws(HostPagesError) -> (regionCount: Int, next: UInt) {
    precondition(regions.count == Self.regionLimit, "room for \(regions.count) regions")
    var argument = pm_scan_arg()
    argument.size = UInt64(MemoryLayout<pm_scan_arg>.size)
    argument.start = UInt64(addresses.lowerBound)
    argument.end = UInt64(addresses.upperBound)
    // WRITTEN alone would report every page without an entry as well.
    argument.category_anyof_mask = CKVM_PAGE_IS_PRESENT | CKVM_PAGE_IS_SWAPPED
    switch question {
    case .written:
      argument.flags = CKVM_PM_SCAN_CHECK_WPASYNC
      argument.return_mask = CKVM_PAGE_IS_WRITTEN
    case .population:
      argument.return_mask =
        CKVM_PAGE_IS_PRESENT | CKVM_PAGE_IS_SWAPPED | CKVM_PAGE_IS_PFNZERO | CKVM_PAGE_IS_HUGE
    }
    // SAFETY: the kernel writes at most vec_len regions, and all of them fit.
    let result = unsafe regions.withUnsafeMutableBufferPointer { buffer in
      argument.vec = UInt64(UInt(bitPattern: buffer.baseAddress))
      argument.vec_len = UInt64(buffer.count)
      return descriptor.call(CKVM_PAGEMAP_SCAN, &argument)
    }
    let operation =
      "PAGEMAP_SCAN 0x\(String(addresses.lowerBound, radix: 16)), \(addresses.count) bytes"
    switch result {
    case .success(let count):
      // walk_end keeps the place of the last pause when the kernel, which collects 512 regions at a
      // time, pauses and then comes to the end: the last region may lie behind it.
      let next = UInt(max(argument.walk_end, count > 0 ? regions[count - 1].end : 0))
      guard next > addresses.lowerBound && next <= addresses.upperBound else {
        throw .wrongAnswer("\(operation): stopped at 0x\(String(next, radix: 16))")
      }
      return (count, next)
    case .failure(let error) where error.rawValue == EPERM:
      throw .registrationLost(range)
    case .failure(let error) where error.rawValue == ENOTTY:
      throw .missingFeatures(["PAGEMAP_SCAN"])
    case .failure(let error):
      throw .call(operation: operation, errno: error.rawValue, cure: nil)
    }
  }
}
