extension ZeroTrackerSnapshot {
  /// The largest runs of pages in one state.
  ///
  /// The work grows with the memory and the number of runs; no more than `limit` are kept, equal
  /// ones from the lowest address on.
  ///
  /// - Parameters:
  ///   - limit: the most stretches returned; the others are counted.
  ///   - isWanted: which states matter; stretches in others are neither returned nor counted.
  public func stretches(
    limit: Int, where isWanted: (PageState) -> Bool = { _ in true }
  ) -> MemoryStretches {
    var largest = LargestRanges(limit: limit)
    var count: UInt64 = 0
    var pageCount: UInt64 = 0
    for region in regions {
      forEachStretch(in: region) { stretch in
        guard isWanted(stretch.state) else { return }
        count += 1
        pageCount += stretch.pages.pageCount
        largest.offer(start: stretch.pages.start.rawValue, pageCount: stretch.pages.pageCount)
      }
    }
    // A stretch has the state of its first page.
    let kept = largest.sorted().sorted { $0.start < $1.start }.map { pages in
      MemoryStretch(pages: pages, state: state(of: pages.start) ?? .unknown)
    }
    return MemoryStretches(
      stretches: kept, omittedCount: count - UInt64(kept.count),
      omittedPageCount: kept.reduce(pageCount) { $0 - $1.pages.pageCount })
  }

  /// How many pages of `range` that are RAM are in which state. Any range is accepted.
  public func stateCounts(in range: PageRange) -> PageStateCounts {
    var counts = PageStateCounts()
    forEachStretch(in: range) { counts[$0.state] += $0.pages.pageCount }
    return counts
  }

  /// The state of a page; nil if it is not RAM.
  public func state(of page: GPN) -> PageState? {
    var state: PageState?
    forEachStretch(in: PageRange(start: page, pageCount: 1)) { state = $0.state }
    return state
  }

  private func forEachStretch(in range: PageRange, _ body: (MemoryStretch) -> Void) {
    let reported = reported(in: range)
    for part in parts {
      var scanner = StretchScanner(part, isComplete: isComplete)
      scanner.scan(range, reported: reported, body)
    }
  }

  /// The reported ranges that have a page of `range`; found by bisection, for callers in a loop.
  private func reported(in range: PageRange) -> ArraySlice<PageRange> {
    func firstIndex(where isBehind: (PageRange) -> Bool) -> Int {
      var low = 0
      var high = reportedByAddress.count
      while low < high {
        let middle = low + (high - low) / 2
        if isBehind(reportedByAddress[middle]) { high = middle } else { low = middle + 1 }
      }
      return low
    }
    let first = firstIndex { $0.end > range.start }
    let end = firstIndex { $0.start >= range.end }
    return first < end ? reportedByAddress[first..<end] : []
  }
}
