/// What the tracker's lock guards.
struct TrackerState {
  enum Phase {
    case unattached
    case tracking
    case stopped
  }

  var phase = Phase.unattached
  var source: (any WrittenPageSource)?
  var regions: [TrackedRegion]
  /// Tracking ended while a saved state was restored: a source that comes later is never asked.
  var isEndedByRestore = false
  private var lastReported: [PageRange] = []
  private var claims = ClaimLog()

  init(regions: [TrackedRegion]) {
    self.regions = regions
  }

  mutating func zeroedRanges(replyPage: GPN?, limit: Int) -> [PageRange] {
    lastReported = []
    let isComplete = readSource()
    // After the reading: a source may be faster with words that are still 0.
    if let replyPage { setWritten(PageRange(start: replyPage, pageCount: 1)) }
    guard limit > 0, isComplete else { return [] }
    var scanner = ZeroedRunScanner(limit: limit)
    for region in regions where !region.range.isEmpty { region.scan(&scanner) }
    lastReported = scanner.largest.sorted()
    return lastReported
  }

  /// The last region has these pages from now on, unless it has more.
  mutating func grow(to pages: PageRange) {
    guard let last = regions.indices.last, pages.pageCount > regions[last].range.pageCount else {
      return
    }
    regions[last].grow(to: pages, hasBits: phase != .stopped)
  }

  /// Whether the written bits are now complete.
  mutating func readSource() -> Bool {
    guard phase == .tracking, let source else { return false }
    do {
      for index in regions.indices where !regions[index].range.isEmpty {
        try regions[index].read(source)
      }
      return true
    } catch {
      // When unsure whether a page is zero, it is not. What was read so far stays: it is true.
      return false
    }
  }

  mutating func markZeroed<E: Error>(
    _ range: PageRange, after discard: () throws(E) -> Void
  ) throws(E) {
    let forgotten = forget(range)
    do throws(E) {
      try discard()
    } catch {
      // Perhaps forgotten by the source, perhaps not zero: written, as far as anyone knows.
      setWritten(range)
      throw error
    }
    for index in regions.indices {
      if forgotten[index] { regions[index].setWritten(false, range) }
      regions[index].clearTouched(range)
    }
  }

  func refinableRun(from start: GPN, pageCount: Int) -> PageRange? {
    guard phase == .tracking else { return nil }
    for region in regions {
      if let run = region.refinableRun(from: start, pageCount: pageCount) { return run }
    }
    return nil
  }

  mutating func refine<E: Error>(
    _ run: PageRange, inspect: (PageRange) throws(E) -> [PageRange]
  ) throws(E) {
    // It may have been claimed or discarded since, and tracking may have ended.
    guard let index = regions.indices.first(where: { regions[$0].range.contains(run.start) }),
      refinableRun(from: run.start, pageCount: Int(clamping: run.pageCount)) == run
    else { return }
    regions[index].refine(run, nonZero: try inspect(run))
  }

  var answersByContent: Bool {
    phase == .tracking && source?.answersByContent == true
  }

  mutating func settleMarks() {
    guard answersByContent else { return }
    for index in regions.indices { regions[index].settle() }
  }

  /// Withholds exactly these pages; after the end nothing is reported anyway.
  private mutating func setWritten(_ range: PageRange) {
    guard phase != .stopped else { return }
    for index in regions.indices { regions[index].setWritten(true, range) }
  }

  /// Per region, whether the source could forget its part of `range`.
  private func forget(_ range: PageRange) -> [Bool] {
    regions.map { region in
      let pages = region.range.intersection(range)
      return phase == .tracking && !pages.isEmpty && source?.forget(pages) == true
    }
  }

  mutating func claim(_ range: PageRange, owner: String) {
    guard regions.contains(where: { !$0.range.intersection(range).isEmpty }) else { return }
    claims.note(Claim(range: range, owner: owner))
    for index in regions.indices { regions[index].claim(range) }
  }

  func unclaimed(_ range: PageRange) -> [PageRange] {
    regions.flatMap { $0.unclaimed(range) }
  }

  mutating func stop() throws {
    if phase != .stopped {
      phase = .stopped
      lastReported = []
      for index in regions.indices { regions[index].freeWritten() }
    }
    try source?.stop()
    source = nil
  }

  mutating func snapshot() -> ZeroTrackerSnapshot {
    let isComplete = readSource()
    return ZeroTrackerSnapshot(
      isComplete: isComplete, lastReported: lastReported, claims: claims,
      regions: regions.filter { !$0.range.isEmpty }.map { RegionSnapshot($0) })
  }
}
