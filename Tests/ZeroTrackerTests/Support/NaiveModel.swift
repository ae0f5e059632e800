import ZeroTracker

/// The tracker done the slow, obvious way: one Bool per page, one pass, one sort.
struct NaiveModel {
  let regions: [PageRange]
  let chunkPages: UInt64
  var isTouched: [[Bool]]
  var isWritten: [[Bool]]
  var isClaimed: [[Bool]]

  init(_ regions: [PageRange], _ granularity: TrackingGranularity) {
    self.regions = regions
    chunkPages = granularity.byteCount / UInt64(GPN.byteCount)
    let none = regions.map { Array(repeating: false, count: Int($0.pageCount)) }
    (isTouched, isWritten, isClaimed) = (none, none, none)
  }

  /// Page offsets, region by region, of the whole chunks that have a page of `range`.
  private func chunks(_ range: PageRange, _ body: (Int, Range<Int>) -> Void) {
    for (index, region) in regions.enumerated() {
      var start: UInt64 = 0
      while start < region.pageCount {
        let end = min(start + chunkPages, region.pageCount)
        let chunk = PageRange(start: region.start.advanced(by: start), pageCount: end - start)
        if !chunk.intersection(range).isEmpty { body(index, Int(start)..<Int(end)) }
        start = end
      }
    }
  }

  mutating func touch(_ range: PageRange) {
    var touched = isTouched
    chunks(range) { region, pages in for page in pages { touched[region][page] = true } }
    isTouched = touched
  }

  mutating func claim(_ range: PageRange) {
    touch(range)
    var claimed = isClaimed
    chunks(range) { region, pages in for page in pages { claimed[region][page] = true } }
    isClaimed = claimed
  }

  mutating func write(_ range: PageRange) {
    for (index, region) in regions.enumerated() {
      for page in 0..<Int(region.pageCount)
      where range.contains(region.start.advanced(by: UInt64(page))) {
        isWritten[index][page] = true
      }
    }
  }

  mutating func discard(_ range: PageRange, canForget: Bool) {
    var touched = isTouched
    chunks(range) { index, pages in
      let start = regions[index].start.advanced(by: UInt64(pages.lowerBound))
      let chunk = PageRange(start: start, pageCount: UInt64(pages.count))
      guard chunk.intersection(range) == chunk, !isClaimed[index][pages.lowerBound] else { return }
      for page in pages { touched[index][page] = false }
    }
    isTouched = touched
    guard canForget else { return }
    for (index, region) in regions.enumerated() {
      for page in 0..<Int(region.pageCount)
      where range.contains(region.start.advanced(by: UInt64(page))) {
        isWritten[index][page] = false
      }
    }
  }

  func answer(limit: Int) -> [PageRange] {
    var runs: [PageRange] = []
    for (index, region) in regions.enumerated() {
      var start: Int?
      for page in 0...Int(region.pageCount) {
        let isZero =
          page < Int(region.pageCount) && !isTouched[index][page] && !isWritten[index][page]
        if isZero, start == nil { start = page }
        if !isZero, let first = start {
          runs.append(
            PageRange(
              start: region.start.advanced(by: UInt64(first)), pageCount: UInt64(page - first)))
          start = nil
        }
      }
    }
    runs.sort { ($1.pageCount, $0.start) < ($0.pageCount, $1.start) }
    return Array(runs.prefix(limit))
  }
}
