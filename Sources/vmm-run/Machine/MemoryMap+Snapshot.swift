internal import ZeroTracker

extension MemoryMap {
  /// Draws what a tracker knew. What was reported wins, then what the VMM touched, then what the
  /// guest wrote: a page may be several, and a cell shows each byte once.
  init(_ snapshot: ZeroTrackerSnapshot) {
    let end = snapshot.regions.last?.end.rawValue ?? 0
    self.init(addressSpaceByteCount: end * 4096)
    let pagesPerCell = bytesPerCell / 4096
    for region in snapshot.regions {
      var first = region.start.rawValue
      while first < region.end.rawValue {
        let cellEnd = (first / pagesPerCell + 1) * pagesPerCell
        let last = min(cellEnd, region.end.rawValue)
        add(
          snapshot.counts(in: PageRange(start: GPN(rawValue: first), pageCount: last - first)),
          from: first)
        first = last
      }
    }
  }

  /// Adds a cell's classes one behind the other: within a cell only the shares count.
  private mutating func add(_ counts: PageCounts, from first: UInt64) {
    var next = first
    func take(_ pages: UInt64) -> Range<UInt64> {
      defer { next += pages }
      return next * 4096..<(next + pages) * 4096
    }
    var left = counts.memory
    for (memoryClass, pages) in [
      (MemoryClass.reportedZero, counts.reported), (.vmmTouched, counts.touched),
      (.guestWritten, counts.written),
    ] {
      let share = min(pages, left)
      add(memoryClass, take(share))
      left -= share
    }
    add(.zeroNotReported, take(left))
  }
}
