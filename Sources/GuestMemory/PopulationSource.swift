public import HostPages
internal import HostSystem
public import ZeroTracker

/// Which pages of guest memory are not zero, by looking: what the host never populated is zero, and
/// what it populated is read.
///
/// Nothing is noted while the guest runs: no log, no protection, no exits, huge mappings from the
/// first instruction on. And every writer is seen: the guest in any mode, this process, the kernel
/// for others (vhost), devices by pages pinned at any time, and another mapping of a memfd, or its
/// descriptor. What was given back, and what the guest put zeros over, is zero again.
///
/// ## Where it cannot be used
/// - Memory that was not zero when it was mapped, such as a private mapping of a saved file: there
///   a page without an entry holds the file's bytes.
/// - hugetlbfs pages that come by another mapping alone have no entry here: those writers must
///   `GuestMemory.claim`.
/// - It is of no use, though never wrong, where all memory is populated: preallocated, or locked by
///   mlockall(2). Only as much as the budget says is read, the rest is withheld.
///
/// ## What it promises of a page that is written while it is read
/// Each byte was zero at an instant between the call of `readWrittenPages` and its return: either
/// the page was not populated, at the instant at which the page table was looked at, or the byte
/// was read. Bytes that change after that belong to writes that came after the question.
///
/// Thread-safe: the tracker calls it one call at a time.
public final class PopulationSource: WrittenPageSource {
  /// By their first pages: what RAM grows by is one of them, of which an answer has what is there.
  private let parts: [(start: GPN, mapping: HostMapping)]
  private let populated: PopulatedPages
  private let budget: GuestMemory.RefinementBudget
  /// Of the answer under way.
  private let budgetLeft = Guarded(0)

  fileprivate init(
    _ memory: GuestMemory, _ budget: GuestMemory.RefinementBudget
  ) throws(HostPagesError) {
    parts = memory.mappings.enumerated().map { (memory.start(ofRegion: $0).page, $1) }
    populated = try PopulatedPages()
    self.budget = budget
  }

  /// Each answer has what is not zero then.
  public var answersByContent: Bool { true }

  /// Sets a bit for each page of a region that is not surely zero.
  ///
  /// Pages that are swapped out are not brought in, and those that the budget leaves unread are not
  /// looked at: both count as written, in this answer. A page whose first word is not zero counts
  /// as a quarter of one that has to be read to its end. Parts of huge pages are read first, as
  /// most of them are zero, then the longest runs of others.
  ///
  /// - Throws: `HostPagesError`, `GuestMemoryError.residency`; `.notRAM` for pages that are no
  ///   region of this memory.
  public func readWrittenPages(of region: PageRange, into words: inout MutableSpan<UInt64>) throws {
    guard
      let index = parts.firstIndex(where: {
        $0.start == region.start && region.pageCount <= UInt64($0.mapping.byteCount / GPN.byteCount)
      })
    else {
      throw GuestMemoryError.notRAM(
        GPA(region.start) ?? GPA(0),
        byteCount: Int(clamping: min(region.pageCount, .max >> 12) << 12))
    }
    // An answer reads all regions, in their order.
    if index == 0 { budgetLeft.withLock { $0 = budget.readByteCount } }
    let mapping = parts[index].mapping
    let byteCount = Int(region.pageCount) * GPN.byteCount
    var runs = RunsToRead(limit: budget.readByteCount / HostMapping.byteCountOfFirstLook)
    if mapping.backing == .memfd {
      try mapping.forEachRunOfData(upTo: byteCount) { run in runs.add(run, elseSetting: &words) }
    } else {
      let range = HostRange(start: mapping.hostAddress, byteCount: byteCount)
      try populated.forEachRun(of: range) { (run) throws(HostPagesError) in
        runs.add(run, elseSetting: &words)
      }
    }
    budgetLeft.withLock { left in
      for run in runs.ordered() {
        mapping.setNonZero(run.pages, in: &words, reading: &left)
      }
    }
  }

  /// Nothing was noted, so nothing needs forgetting.
  public func forget(_ range: PageRange) -> Bool { true }
}

extension GuestMemory {
  /// A source that looks at this memory itself; for `registerSlots`, with slots that log nothing.
  ///
  /// - Parameter budget: what is read of each answer; as for `refine`.
  /// - Throws: `HostPagesError` if the kernel (before Linux 6.7) cannot tell what is populated.
  public func populationSource(
    _ budget: RefinementBudget = .default
  ) throws(HostPagesError) -> PopulationSource {
    if let obstacle = PopulatedPages.obstacle() { throw obstacle }
    return try PopulationSource(self, budget)
  }
}

/// The runs of pages that are worth reading, as far as there is a budget for them.
///
/// A guest may populate every second page of terabytes: so few runs are kept, and one that is no
/// better than all those kept when there were too many is not looked at twice.
private struct RunsToRead {
  private var runs: [PopulatedPages.Run] = []
  private let limit: Int
  /// The last of those kept; nil until some were not.
  private var worst: PopulatedPages.Run?

  /// - Parameter limit: pages that may be read. More runs are never needed: each has a page.
  init(limit: Int) {
    self.limit = min(limit, 1 << 17)
  }

  /// Takes a run, or counts pages as written instead.
  mutating func add(_ run: PopulatedPages.Run, elseSetting words: inout MutableSpan<UInt64>) {
    guard !run.isSwapped, limit > 0, worst.map({ Self.isBetter(run, $0) }) ?? true else {
      return PageBits.set(run.pages, in: &words)
    }
    runs.append(run)
    guard runs.count == 2 * limit else { return }
    runs.sort(by: Self.isBetter)
    for run in runs[limit...] { PageBits.set(run.pages, in: &words) }
    runs.removeSubrange(limit...)
    worst = runs.last
  }

  /// The most promising first.
  func ordered() -> [PopulatedPages.Run] {
    runs.sorted(by: Self.isBetter)
  }

  private static func isBetter(_ left: PopulatedPages.Run, _ right: PopulatedPages.Run) -> Bool {
    left.isHuge == right.isHuge ? left.pages.count > right.pages.count : left.isHuge
  }
}

extension HostMapping {
  /// Sets the bits of those pages that are not zero, and of those that are left when `byteCount` is
  /// used up.
  fileprivate func setNonZero(
    _ pages: Range<Int>, in words: inout MutableSpan<UInt64>, reading byteCount: inout Int
  ) {
    var page = pages.lowerBound
    while page < pages.upperBound, byteCount >= GPN.byteCount {
      if !isZeroPage(page * GPN.byteCount, reading: &byteCount) {
        words[page / 64] |= 1 << UInt64(page % 64)
      }
      page += 1
    }
    PageBits.set(page..<pages.upperBound, in: &words)
  }

  /// Gives `body` the runs of pages at which the file has data, ascending, whoever put it there.
  ///
  /// Its holes are zero. The page tables do not say it: those of a shared file do not show what is
  /// swapped out, or came by another mapping.
  fileprivate func forEachRunOfData(
    upTo byteCount: Int, _ body: (PopulatedPages.Run) -> Void
  ) throws {
    let hasSwap = HostPageState.hasSwap
    var next = 0
    while next < byteCount, let data = try seek(next, FileSeek.data), data < byteCount {
      let hole = min(try seek(data, FileSeek.hole) ?? byteCount, byteCount)
      // Whole pages: the file is made of them.
      let pages = data / GPN.byteCount..<hole / GPN.byteCount
      if hasSwap {
        try forEachResidentRun(of: pages, body)
      } else {
        body(PopulatedPages.Run(pages: pages))
      }
      next = hole
    }
  }

  /// Gives `body` the pages as runs of those in memory and those that are swapped out.
  private func forEachResidentRun(
    of pages: Range<Int>, _ body: (PopulatedPages.Run) -> Void
  ) throws {
    var isResident = [UInt8](repeating: 0, count: min(pages.count, 1 << 14))
    var start = pages.lowerBound
    while start < pages.upperBound {
      let address = hostAddress + UInt(start * GPN.byteCount)
      let end = hostAddress + UInt(pages.upperBound * GPN.byteCount)
      let count = try HostPageState.residency(address..<end, of: hostRange, into: &isResident)
      var first = 0
      for index in 1...count
      where index == count || (isResident[index] ^ isResident[first]) & 1 != 0 {
        body(
          PopulatedPages.Run(
            pages: start + first..<start + index, isSwapped: isResident[first] & 1 == 0))
        first = index
      }
      start += count
    }
  }

  fileprivate var hostRange: HostRange {
    HostRange(start: hostAddress, byteCount: byteCount)
  }
}
