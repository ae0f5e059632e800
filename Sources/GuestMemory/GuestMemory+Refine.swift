internal import ZeroTracker

// Winning back zero pages of chunks that the VMM touched only in part.
extension GuestMemory {
  /// What bounds one refinement. It ends with the piece that uses the budget up: a chunk is refined
  /// whole or not at all, so at most 32 MiB more are read.
  public struct RefinementBudget: Hashable, Sendable {
    /// The bytes read to see whether they are zero.
    public var readByteCount: Int

    /// 256 MiB read, about 30 ms of one processor. A guest that has to zero as much itself takes
    /// ten times as long, and has it resident afterwards.
    public static let `default` = RefinementBudget(readByteCount: 256 << 20)
    /// Refines nothing.
    public static let none = RefinementBudget(readByteCount: 0)

    /// A negative count is 0.
    public init(readByteCount: Int) {
      self.readByteCount = max(0, readByteCount)
    }

    /// The bytes of touched chunks looked at, absent pages included: 8 times as many as are read,
    /// as an absent page costs an eighth at most.
    public var inspectedByteCount: Int {
      let (byteCount, overflow) = readByteCount.multipliedReportingOverflow(by: 8)
      return overflow ? .max : byteCount
    }
  }

  /// How long marks wait for the writers inside to be settled.
  private static let settlingMilliseconds = 10
  /// Chunks go in pieces of about this many pages: writers are kept out for one piece at a time.
  private static let piecePageCount = 1024
  /// How long a piece waits for the writers inside.
  private static let waitMilliseconds = 1
  /// Pieces that wait in vain before the others of the refinement do not wait at all: a writer may
  /// wait for a slow disk.
  private static let vainWaitCount = 10

  /// Looks into touched chunks and makes their zero pages reportable again, lowest address first.
  ///
  /// Absent pages stay absent, and swapped-out ones where they are: those stay withheld. Claimed
  /// chunks are left alone. A piece whose writers do not leave is skipped. Any thread, but never
  /// from within `withMutableBytes`. Why it is right is with `ZeroTracker.refine`.
  ///
  /// With a source that answers by content nothing is read here: the marks are settled
  /// (`ZeroTracker.settleMarks`), if all writers leave within 10 ms.
  ///
  /// - Returns: bytes read.
  @discardableResult
  public func refine(_ budget: RefinementBudget = .default) -> Int {
    if tracker.answersByContent {
      guard budget.readByteCount > 0 else { return 0 }
      _ = gate.discard(timeoutMilliseconds: Self.settlingMilliseconds) { tracker.settleMarks() }
      return 0
    }
    var bytesToRead = budget.readByteCount
    var bytesToInspect = budget.inspectedByteCount
    var waitsLeft = Self.vainWaitCount
    var next = GPN(rawValue: 0)
    while bytesToRead > 0, bytesToInspect > 0,
      let run = tracker.refinableRun(from: next, pageCount: Self.piecePageCount)
    {
      // A writer inside for longer makes the piece stay withheld, which is safe.
      let wait = waitsLeft > 0 ? Self.waitMilliseconds : 0
      let done: Void? = gate.discard(timeoutMilliseconds: wait) {
        // An error keeps the chunk as it was: withheld.
        try? tracker.refine(run) { run throws(GuestMemoryError) in
          let inspection = try inspect(run)
          bytesToRead -= inspection.readByteCount
          return inspection.nonZero
        }
      }
      if done == nil { waitsLeft -= 1 }
      bytesToInspect -= Int(run.pageCount) * GPN.byteCount
      next = run.end
    }
    return budget.readByteCount - bytesToRead
  }

  /// The pages of a run in one region that are not surely zero, and how many bytes were read. Reads
  /// present pages only.
  private func inspect(
    _ run: PageRange
  ) throws(GuestMemoryError) -> (nonZero: [PageRange], readByteCount: Int) {
    guard let start = GPA(run.start),
      let place = locate(start, byteCount: Int(run.pageCount) * GPN.byteCount)
    else { return ([run], 0) }
    let mapping = mappings[place.region]
    var found: [PageRange] = []
    var readByteCount = 0
    var page = 0
    while page < Int(run.pageCount) {
      let count = min(Int(run.pageCount) - page, HostMapping.presencePageCount)
      let presence = try mapping.presence(
        place.offset + page * GPN.byteCount, pageCount: count)
      for (index, presence) in presence.enumerated() {
        switch presence {
        case .absent: continue
        case .present:
          readByteCount += GPN.byteCount
          if mapping.isZeroPage(place.offset + (page + index) * GPN.byteCount) { continue }
        case .elsewhere: break
        }
        found.append(page: run.start.advanced(by: UInt64(page + index)))
      }
      page += count
    }
    return (found, readByteCount)
  }
}

extension [PageRange] {
  /// Adds a page above all others.
  fileprivate mutating func append(page: GPN) {
    if let last, last.end == page {
      self[count - 1] = PageRange(start: last.start, pageCount: last.pageCount + 1)
    } else {
      append(PageRange(start: page, pageCount: 1))
    }
  }
}
