internal import CKVM
internal import Glibc

/// Tells what of this process's memory the host has populated: which pages have an entry in the
/// page tables (PAGEMAP_SCAN, Linux 6.7).
///
/// Private memory without an entry was never used, or was given back: it reads as zero. Nothing is
/// protected or noted for it, so it costs nothing between two questions, and it does not matter who
/// wrote: the guest, this process, the kernel, or a device through pages pinned long before. Pages
/// of a shared file may be there without an entry, when they are swapped out, or came by another
/// mapping: ask the file.
///
/// Thread-safe.
package final class PopulatedPages: Sendable {
  /// Neighbouring pages that the page tables say the same of.
  package struct Run: Hashable, Sendable {
    /// Counted from the start of the range that was asked about.
    package let pages: Range<Int>
    /// Swapped out, or on the move: the next look may find them elsewhere.
    package let isSwapped: Bool
    /// Parts of huge pages.
    package let isHuge: Bool

    /// A run of any pages.
    package init(pages: Range<Int>, isSwapped: Bool = false, isHuge: Bool = false) {
      self.pages = pages
      self.isSwapped = isSwapped
      self.isHuge = isHuge
    }
  }

  private let pagemap: Pagemap

  /// - Throws: `call` if /proc does not show a process its own page tables.
  package init() throws(HostPagesError) {
    pagemap = try Pagemap()
  }

  /// Gives `body` each run of populated pages, ascending; not the ones that read as the shared zero
  /// page.
  ///
  /// What is populated meanwhile is found or not. The kernel keeps nobody out for more than 1 GiB
  /// at a time.
  ///
  /// - Parameter range: mapped memory of this process.
  /// - Throws: `registrationLost` if some of it is not mapped, `missingFeatures` if the kernel
  ///   cannot tell, `call`; and what `body` throws.
  package func forEachRun(
    of range: HostRange, _ body: (Run) throws(HostPagesError) -> Void
  ) throws(HostPagesError) {
    try pagemap.forEachRegion(of: range, for: .population) { (region) throws(HostPagesError) in
      guard region.categories & CKVM_PAGE_IS_PFNZERO == 0 else { return }
      try body(
        Run(
          pages: range.pages(UInt(region.start)..<UInt(region.end)),
          isSwapped: region.categories & CKVM_PAGE_IS_SWAPPED != 0,
          isHuge: region.categories & CKVM_PAGE_IS_HUGE != 0))
    }
  }

  /// What keeps it from working here; nil if nothing does.
  ///
  /// Asks the running kernel: uses one of three pages of its own, and looks which it was.
  package static func obstacle() -> HostPagesError? {
    do throws(HostPagesError) {
      let pages = try ProbePages(count: 3)
      pages.write(toPage: 1)
      var found: [Run] = []
      try PopulatedPages().forEachRun(of: pages.range) { found.append($0) }
      guard found.count == 1, found[0].pages == 1..<2 else {
        return .wrongAnswer(
          "PAGEMAP_SCAN after a write to page 1 of 3: \(found.map(\.pages)) populated;"
            + " this kernel's page tables cannot be relied on")
      }
      return nil
    } catch {
      return error
    }
  }
}
