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
  ///   - readsHidden: whether pages of hugetlbfs that are not mapped are read, too. Most are
  ///     absent, and reading allocates them; one on the move is not.
  ///   - goesOn: asked once for some thousand pages; false ends the search.
  ///   - body: false ends the search.
  /// - Throws: `.residency` if the kernel does not say what is absent; what `body` throws.
  public func forEachNonZeroPage(
    in range: PageRange, readsHidden: Bool = false, goesOn: () -> Bool = { true },
    _ body: (GPN) throws(GuestMemoryError) -> Bool
  ) throws(GuestMemoryError) {
    for (region, mapping) in zip(regions, mappings) {
      let pages = region.pages.intersection(range)
      guard !pages.isEmpty else { continue }
      let start = region.pages.start
      let first = Int(pages.start.rawValue - start.rawValue)
      let goesOn = try mapping.forEachNonZeroPage(
        first..<first + Int(pages.pageCount), readsHidden: readsHidden, goesOn: goesOn
      ) { (page) throws(GuestMemoryError) in try body(start.advanced(by: UInt64(page))) }
      guard goesOn else { return }
    }
  }
}

extension HostMapping {
  /// The same for pages of one mapping, by their numbers in it.
  ///
  /// - Returns: false if the search was ended.
  func forEachNonZeroPage(
    _ pages: Range<Int>, readsHidden: Bool = false, goesOn: () -> Bool = { true },
    _ body: (Int) throws(GuestMemoryError) -> Bool
  ) throws(GuestMemoryError) -> Bool {
    var first = pages.lowerBound
    while first < pages.upperBound {
      guard goesOn() else { return false }
      let count = min(pages.upperBound - first, Self.presencePageCount)
      let presence = try presence(first * GPN.byteCount, pageCount: count)
      for index in 0..<count where isReadable(presence[index], readsHidden) {
        guard !isZeroPage((first + index) * GPN.byteCount) else { continue }
        guard try body(first + index) else { return false }
      }
      first += count
    }
    return true
  }

  private func isReadable(_ presence: PagePresence, _ readsHidden: Bool) -> Bool {
    switch presence {
    case .absent: false
    case .present: true
    // A hugetlb page that is not mapped is most likely absent, and reading would allocate it.
    case .elsewhere: readsHidden || backing != .hugetlb
    }
  }
}
