internal import ZeroTracker

extension MemoryPicture {
  /// Draws what a tracker knew. A page may be several things; it is drawn as the first of
  /// `PageState` that holds.
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
          snapshot.stateCounts(
            in: PageRange(start: GPN(rawValue: first), pageCount: last - first)),
          from: first)
        first = last
      }
    }
  }

  /// Adds a cell's classes one behind the other: within a cell only the shares count.
  private mutating func add(_ counts: PageStateCounts, from first: UInt64) {
    var next = first
    for state in PageState.allCases {
      let end = next + counts[state]
      add(MemoryClass(state), next * 4096..<end * 4096)
      next = end
    }
  }
}

extension MemoryClass {
  init(_ state: PageState) {
    switch state {
    case .reported: self = .reportedZero
    case .claimed: self = .claimed
    case .written: self = .guestWritten
    case .touched: self = .vmmTouched
    case .zeroed: self = .zeroNotReported
    case .unknown: self = .unknown
    }
  }
}
