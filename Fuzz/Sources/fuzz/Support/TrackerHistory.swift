internal import ZeroTracker

/// A tracker, the machine it watches, and a model of what it may report.
final class TrackerHistory {
  private struct Page {
    let number: UInt64
    let region: Int
    /// Numbers chunks over all regions.
    let chunk: Int
    /// Has a byte that is not zero.
    var isNonZero = false
    var isTouched = false
    var isClaimed = false
    var isWritten = false
  }

  private let regions: [PageRange]
  private let granularity: TrackingGranularity
  private var tracker: ZeroTracker
  private var log: FuzzLog
  private var isStopped = false
  /// All of RAM, ascending.
  private var pages: [Page] = []

  init(regions: [PageRange], chunkPageCount: UInt64) {
    self.regions = regions
    log = FuzzLog(regions)
    do {
      granularity = try TrackingGranularity(byteCount: 4096 * chunkPageCount)
      tracker = try ZeroTracker(regions: regions, granularity: granularity)
    } catch {
      fatalError("\(error)")
    }
    tracker.attach(source: log)
    var chunk = -1
    for (index, region) in regions.enumerated() {
      for offset in 0..<region.pageCount {
        if offset % chunkPageCount == 0 { chunk += 1 }
        pages.append(
          Page(number: region.start.rawValue + offset, region: index, chunk: chunk))
      }
    }
  }

  // MARK: What happens to memory

  func guestWrites(_ range: PageRange) {
    forEach(range) { page in
      page.isNonZero = true
      page.isWritten = true
      log.insert(page.number, region: page.region)
    }
  }

  func vmmWrites(_ range: PageRange) {
    tracker.markTouched(range)
    forEach(range) { $0.isNonZero = true }
    forEachChunk(range) { page, _ in page.isTouched = true }
  }

  func claim(_ range: PageRange) {
    tracker.claim(range)
    forEach(range) { $0.isNonZero = true }
    forEachChunk(range) { page, _ in
      page.isTouched = true
      page.isClaimed = true
    }
  }

  func discard(_ range: PageRange, canForget: Bool, fails: Bool) {
    log.canForget = canForget
    do {
      try tracker.markZeroed(range) {
        if fails { throw FuzzLog.Failure() }
        forEach(range) { $0.isNonZero = false }
      }
    } catch {
      forEach(range) { $0.isWritten = true }
      return
    }
    if canForget { forEach(range) { $0.isWritten = false } }
    forEachChunk(range) { page, isWhole in
      if isWhole && !page.isClaimed { page.isTouched = false }
    }
  }

  func refine(_ range: PageRange, inspectsMore: Bool) {
    let count = Int(truncatingIfNeeded: range.pageCount & 0xFF)
    guard let run = tracker.refinableRun(from: range.start, pageCount: count) else {
      if !isStopped {
        let isThere = pages.contains {
          $0.number >= range.start.rawValue && $0.isTouched && !$0.isClaimed && isFirstOfChunk($0)
        }
        require(!isThere, "nothing to refine from \(range.start) on")
      }
      return
    }
    require(!isStopped, "a run after the end")
    forEach(run) { page in
      require(page.isTouched && !page.isClaimed, "page \(page.number) cannot be refined")
    }
    tracker.refine(run) { run in
      var found: [PageRange] = []
      forEach(run) { page in
        guard page.isNonZero || inspectsMore && page.number % 3 == 0 else { return }
        found.append(PageRange(start: GPN(rawValue: page.number), pageCount: 1))
        page.isWritten = true
      }
      return found
    }
    forEach(run) { $0.isTouched = false }
  }

  /// Saves the state and goes on with it in a new tracker.
  func restart() {
    guard !isStopped, !log.failsReading else { return }
    let bytes = tracker.encodedState()
    do {
      tracker = try ZeroTracker(regions: regions, granularity: granularity)
      try tracker.restore(bytes, memory: .exact)
    } catch {
      fatalError("a state that cannot be restored: \(error)")
    }
    require(tracker.encodedState().count == bytes.count, "a state that changed its size")
    log = FuzzLog(regions)
    tracker.attach(source: log)
  }

  func failReading(_ fails: Bool) {
    log.failsReading = fails
  }

  func stop() {
    isStopped = true
    try? tracker.stop()
  }

  // MARK: What the tracker says

  func checkAnswer(replyPage: GPN?, limit: Int) {
    let answer = tracker.zeroedRanges(replyPage: replyPage, limit: limit)
    if let replyPage { forEach(PageRange(start: replyPage, pageCount: 1)) { $0.isWritten = true } }
    for range in answer {
      forEach(range) { require(!$0.isNonZero, "page \($0.number) is reported and not zero") }
    }
    let expected = isStopped || log.failsReading || limit <= 0 ? [] : zeroRuns(limit: limit)
    require(answer == expected, "\(answer), not \(expected)")
  }

  func checkSnapshot(_ range: PageRange) {
    let snapshot = tracker.snapshot()
    let counts = snapshot.counts(in: range)
    var memory: UInt64 = 0
    var zeroed: UInt64 = 0
    forEach(range) { page in
      memory += 1
      if !page.isTouched && !page.isWritten { zeroed += 1 }
    }
    require(counts.memory == memory, "\(counts.memory) pages, not \(memory)")
    let isComplete = !isStopped && !log.failsReading
    require(snapshot.isComplete == isComplete, "isComplete \(snapshot.isComplete)")
    require(counts.zeroed == (isComplete ? zeroed : 0), "\(counts.zeroed) zeroed, not \(zeroed)")
    let stretches = snapshot.stretches(limit: 5)
    require(stretches.stretches.count <= 5, "too many stretches")
    require(!snapshot.whyWithheld(range.start).description.isEmpty, "no words")
  }

  private func zeroRuns(limit: Int) -> [PageRange] {
    var runs: [PageRange] = []
    var index = 0
    while index < pages.count {
      let first = pages[index]
      var count: UInt64 = 0
      while index < pages.count, pages[index].region == first.region, !pages[index].isTouched,
        !pages[index].isWritten
      {
        count += 1
        index += 1
      }
      if count == 0 {
        index += 1
      } else {
        runs.append(PageRange(start: GPN(rawValue: first.number), pageCount: count))
      }
    }
    runs.sort { ($1.pageCount, $0.start) < ($0.pageCount, $1.start) }
    return Array(runs.prefix(limit))
  }

  // MARK: Pages

  private func forEach(_ range: PageRange, _ body: (inout Page) -> Void) {
    // Saturates like the range itself.
    let (start, end) = (range.start.rawValue, range.end.rawValue)
    for index in pages.indices where pages[index].number >= start && pages[index].number < end {
      body(&pages[index])
    }
  }

  /// All pages of chunks that have a page of `range`, and whether it has all of the chunk's.
  private func forEachChunk(_ range: PageRange, _ body: (inout Page, Bool) -> Void) {
    var index = 0
    while index < pages.count {
      let first = index
      var insideCount = 0
      while index < pages.count, pages[index].chunk == pages[first].chunk {
        if range.contains(GPN(rawValue: pages[index].number)) { insideCount += 1 }
        index += 1
      }
      guard insideCount > 0 else { continue }
      for page in first..<index { body(&pages[page], insideCount == index - first) }
    }
  }

  private func isFirstOfChunk(_ page: Page) -> Bool {
    let offset = page.number - regions[page.region].start.rawValue
    return offset % (granularity.byteCount / 4096) == 0
  }
}
