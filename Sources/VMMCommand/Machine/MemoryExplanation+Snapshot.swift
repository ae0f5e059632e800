internal import ZeroTracker

extension MemoryExplanation {
  /// - Parameter hasAsked: whether the snapshot was taken at an answer to the guest.
  init(_ snapshot: ZeroTrackerSnapshot, hasAsked: Bool) {
    var counts = PageStateCounts()
    for region in snapshot.regions {
      let part = snapshot.stateCounts(in: region)
      for state in PageState.allCases { counts[state] += part[state] }
    }
    totals = MemoryTotals(
      reportedBytes: counts[.reported] * 4096, claimedBytes: counts[.claimed] * 4096,
      guestWrittenBytes: counts[.written] * 4096, vmmTouchedBytes: counts[.touched] * 4096,
      zeroNotReportedBytes: counts[.zeroed] * 4096, unknownBytes: counts[.unknown] * 4096)
    let stretches = snapshot.stretches(limit: Self.maximumRangeCount) { $0 != .reported }
    unreported = stretches.stretches.compactMap { stretch in
      guard let reason = UnreportedRange.Reason(stretch.state, hasAsked: hasAsked) else {
        return nil
      }
      return UnreportedRange(
        startPage: stretch.pages.start.rawValue, pageCount: stretch.pages.pageCount,
        reason: reason)
    }
    omittedCount = stretches.omittedCount
  }
}

extension UnreportedRange.Reason {
  /// Nil for what was reported.
  init?(_ state: PageState, hasAsked: Bool) {
    switch state {
    case .reported: return nil
    case .claimed: self = .claimed
    case .written: self = .writtenByGuest
    case .touched: self = .touchedByVMM
    case .zeroed: self = hasAsked ? .notAmongTheLargest : .notAsked
    case .unknown: self = .trackingEnded
    }
  }
}
