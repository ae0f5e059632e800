public import ZeroTracker

// Checking that memory is zero, as a witness against the tracker.
extension GuestMemory {
  /// The lowest page of `range` with a byte that is not zero; nil if there is none, or no RAM.
  ///
  /// Absent pages are not read, so that they stay absent; swapped-out ones are read, and come back.
  /// Private memory under write protection has no absent pages in this sense: what the kernel keeps
  /// in their place looks like a swapped page, and reading it maps the shared page of zeros, which
  /// takes no memory. Any thread. The guest may write meanwhile: see what is known of the page
  /// afterwards.
  ///
  /// - Throws: `.residency` if the kernel does not say what is absent.
  public func firstNonZeroPage(in range: PageRange) throws(GuestMemoryError) -> GPN? {
    var found: GPN?
    try forEachNonZeroPage(in: range) { page in
      found = page
      return false
    }
    return found
  }

  /// Calls `body` with each page of `range` that `firstNonZeroPage` would find, ascending, in one
  /// pass.
  ///
  /// - Parameters:
  ///   - goesOn: asked once for some thousand pages; false ends the search.
  ///   - body: false ends the search.
  /// - Throws: `.residency` if the kernel does not say what is absent.
  public func forEachNonZeroPage(
    in range: PageRange, goesOn: () -> Bool = { true }, _ body: (GPN) -> Bool
  ) throws(GuestMemoryError) {
    for (region, mapping) in zip(layout.regions, mappings) {
      let pages = region.pages.intersection(range)
      var first = pages.start
      while first < pages.end {
        guard goesOn() else { return }
        let rest = Int(pages.end.rawValue - first.rawValue)
        let count = min(rest, HostMapping.presencePageCount)
        let offset = Int(first.rawValue - region.pages.start.rawValue) * GPN.byteCount
        let presence = try mapping.presence(offset, pageCount: count)
        for index in 0..<count where isReadable(presence[index]) {
          guard !mapping.isZeroPage(offset + index * GPN.byteCount) else { continue }
          guard body(first.advanced(by: UInt64(index))) else { return }
        }
        first = first.advanced(by: UInt64(count))
      }
    }
  }

  private func isReadable(_ presence: PagePresence) -> Bool {
    switch presence {
    case .absent: false
    case .present: true
    // A hugetlb page that is not mapped is most likely absent, and reading would allocate it.
    case .elsewhere: backing != .hugetlb
    }
  }
}
