public import HostPages
internal import HostSystem
internal import Synchronization
internal import ZeroTracker

/// Gives the host what is zero in sparsely used huge pages of guest memory.
///
/// A guest that writes a few bytes of a 2 MiB page has all of it resident. The kernel takes such a
/// page apart, and frees what of it is zero, in one operation (`UnderusedHugePages`). What is read
/// here says where that is worth it, and nothing depends on it: a page that is written meanwhile
/// keeps what was written. So no writer is kept out, no vCPU is paused, and the tracker need not
/// know: no byte changes. Why that is right is in docs/memory-ordering.md, "Trimming".
///
/// What was taken apart stays so: the guest's later writes there get small pages.
///
/// Private memory only: not that of a memfd, whose zero pages the kernel keeps, nor of hugetlbfs.
/// Preallocated memory stays as it is, and so does what was claimed.
///
/// Safe from any thread; of two at once the second does nothing.
public final class HugePageTrimmer: Sendable {
  /// What bounds one call. It is looked at between two huge pages: one of them may be read, or
  /// split, beyond it.
  public struct Budget: Hashable, Sendable {
    /// Bytes read to see whether they are zero.
    public var readByteCount: Int
    /// On the clock, in all; half of it at most is spent with reading.
    public var milliseconds: Int

    /// As much as an answer reads (`GuestMemory.RefinementBudget.default`), in 100 ms.
    public static let `default` = Budget(readByteCount: 256 << 20, milliseconds: 100)

    /// Negative numbers are 0.
    public init(readByteCount: Int, milliseconds: Int) {
      self.readByteCount = max(0, readByteCount)
      self.milliseconds = max(0, milliseconds)
    }
  }

  /// What came of one call.
  public struct Outcome: Hashable, Sendable {
    /// What the host has of it again, in bytes: a multiple of 4 KiB.
    public var givenBackByteCount: UInt64 = 0
    /// Huge pages that were taken apart.
    public var splitCount = 0
    /// Huge pages that the kernel left whole though much of them is zero: because they are pinned,
    /// mostly.
    public var refusedCount = 0
    /// Bytes read to find them.
    public var readByteCount = 0
  }

  /// What all calls came to.
  public struct Totals: Hashable, Sendable {
    /// Calls that did something.
    public var callCount: UInt64
    /// In bytes.
    public var givenBackByteCount: UInt64
    /// Huge pages.
    public var splitCount: UInt64
  }

  /// A huge page of which at least this many of its 512 pages are zero is worth taking apart: it
  /// then costs the guest more memory than it saves it page table walks.
  static let leastZeroPageCount = UnderusedHugePages.pageCount / 2
  /// So many huge pages that were taken apart stay so, which is 8 GiB; the kernel may put others
  /// together again. Each may be a mapping of its own.
  private static let keptCount = 4096

  private let memory: GuestMemory
  private let populated: PopulatedPages
  private let isBusy = Atomic<Bool>(false)
  /// Where the next call begins to read: what one has no time for is the next one's. Of the call
  /// that is busy.
  private let next = Guarded(Place(region: 0, offset: 0))
  /// The addresses of those that stay apart.
  private let kept = Guarded<Set<UInt>>([])
  private let calls = Atomic<UInt64>(0)
  private let givenBack = Atomic<UInt64>(0)
  private let splits = Atomic<UInt64>(0)

  private struct Place: Sendable {
    var region: Int
    var offset: Int
  }

  private struct Candidate {
    let place: Place
    let zeroPageCount: Int
  }

  fileprivate init(_ memory: GuestMemory) throws(HostPagesError) {
    self.memory = memory
    populated = try PopulatedPages()
  }

  /// What has been given back so far. Any thread.
  public var totals: Totals {
    Totals(
      callCount: calls.load(ordering: .relaxed),
      givenBackByteCount: givenBack.load(ordering: .relaxed),
      splitCount: splits.load(ordering: .relaxed))
  }

  /// Looks for huge pages that are mostly zero, and takes them apart, those with the most zero
  /// pages first.
  ///
  /// - Parameter goesOn: asked before each huge page.
  public func trim(_ budget: Budget = .default, while goesOn: () -> Bool = { true }) -> Outcome {
    var outcome = Outcome()
    guard memory.isTrimmable,
      !isBusy.exchange(true, ordering: .acquiring)
    else { return outcome }
    defer { isBusy.store(false, ordering: .releasing) }
    let start = HostClock.monotonicNanoseconds()
    func isWithin(_ milliseconds: Double) -> Bool {
      Double(HostClock.monotonicNanoseconds() &- start) < milliseconds * 1e6 && goesOn()
    }
    let milliseconds = Double(budget.milliseconds)
    let found = candidates(budget.readByteCount, &outcome) { isWithin(milliseconds / 2) }
    for candidate in found.sorted(by: { $0.zeroPageCount > $1.zeroPageCount }) {
      guard isWithin(milliseconds) else { break }
      split(candidate.place, &outcome)
    }
    calls.add(1, ordering: .relaxed)
    givenBack.add(outcome.givenBackByteCount, ordering: .relaxed)
    splits.add(UInt64(outcome.splitCount), ordering: .relaxed)
    return outcome
  }

  // MARK: Reading

  private func candidates(
    _ budget: Int, _ outcome: inout Outcome, while goesOn: () -> Bool
  ) -> [Candidate] {
    var left = budget
    var found: [Candidate] = []
    search: for piece in pieces(from: next.withLock { $0 }) {
      for offset in hugePages(of: piece) {
        guard left > 0, goesOn() else {
          next.withLock { $0 = Place(region: piece.region, offset: offset) }
          break search
        }
        let place = Place(region: piece.region, offset: offset)
        guard isUnclaimed(place) else { continue }
        let before = left
        if let count = zeroPageCount(place, &left) {
          found.append(Candidate(place: place, zeroPageCount: count))
        }
        outcome.readByteCount += before - left
      }
      next.withLock { $0 = Place(region: piece.region, offset: piece.bytes.upperBound) }
      // Also where there is nothing to read.
      guard goesOn() else { break }
    }
    return found
  }

  /// All memory in pieces of at most 1 GiB, from `place` on and around to it.
  private func pieces(from place: Place) -> [(region: Int, bytes: Range<Int>)] {
    var after: [(region: Int, bytes: Range<Int>)] = []
    var before: [(region: Int, bytes: Range<Int>)] = []
    for (index, region) in memory.regions.enumerated() {
      for start in stride(from: 0, to: Int(region.byteCount), by: 1 << 30) {
        let bytes = start..<min(start + 1 << 30, Int(region.byteCount))
        let cut =
          index < place.region
          ? bytes.upperBound
          : index > place.region
            ? bytes.lowerBound
            : min(max(place.offset, bytes.lowerBound), bytes.upperBound)
        if cut > bytes.lowerBound { before.append((index, bytes.lowerBound..<cut)) }
        if cut < bytes.upperBound { after.append((index, cut..<bytes.upperBound)) }
      }
    }
    return after + before
  }

  /// The offsets of the huge pages in a piece, ascending; none if the kernel does not say.
  private func hugePages(of piece: (region: Int, bytes: Range<Int>)) -> [Int] {
    let size = UnderusedHugePages.byteCount
    var offsets: [Int] = []
    try? populated.forEachRun(of: hostRange(piece.region, piece.bytes)) { run in
      guard run.isHuge, !run.isSwapped else { return }
      let start = piece.bytes.lowerBound + run.pages.lowerBound * GPN.byteCount
      let end = piece.bytes.lowerBound + run.pages.upperBound * GPN.byteCount
      // Mappings begin at multiples of a huge page.
      let first = (start + size - 1) / size * size
      offsets += stride(from: first, through: end - size, by: size)
    }
    return offsets
  }

  private func isUnclaimed(_ place: Place) -> Bool {
    let start = GPA(memory.start(ofRegion: place.region).rawValue + UInt64(place.offset))
    let pages = start.pages(byteCount: UnderusedHugePages.byteCount)
    return memory.tracker.unclaimed(pages) == [pages]
  }

  /// How many of a huge page's pages are zero; nil if too few are.
  private func zeroPageCount(_ place: Place, _ left: inout Int) -> Int? {
    let mapping = memory.mappings[place.region]
    var othersLeft = UnderusedHugePages.pageCount - Self.leastZeroPageCount
    for page in 0..<UnderusedHugePages.pageCount {
      let offset = place.offset + page * GPN.byteCount
      guard !mapping.isZeroPage(offset, reading: &left) else { continue }
      guard othersLeft > 0 else { return nil }
      othersLeft -= 1
    }
    return Self.leastZeroPageCount + othersLeft
  }

  // MARK: Splitting

  private func split(_ place: Place, _ outcome: inout Outcome) {
    let range = hostRange(
      place.region, place.offset..<place.offset + UnderusedHugePages.byteCount)
    UnderusedHugePages.split(at: range.start)
    var isHuge = false
    var pageCount = 0
    do throws(HostPagesError) {
      try populated.forEachRun(of: range) { run in
        isHuge = isHuge || run.isHuge
        pageCount += run.pages.count
      }
    } catch {
      // Nobody knows what came of it, so it is not counted.
      return
    }
    guard !isHuge else {
      outcome.refusedCount += 1
      return
    }
    kept.withLock { kept in
      if kept.count < Self.keptCount, UnderusedHugePages.keepApart(at: range.start) {
        kept.insert(range.start)
      }
    }
    outcome.splitCount += 1
    outcome.givenBackByteCount += UInt64(
      (UnderusedHugePages.pageCount - pageCount) * GPN.byteCount)
  }

  private func hostRange(_ region: Int, _ bytes: Range<Int>) -> HostRange {
    HostRange(
      start: memory.mappings[region].hostAddress + UInt(bytes.lowerBound), byteCount: bytes.count)
  }
}

extension GuestMemory {
  /// Whether zero pages of its huge pages can go back: not of what was allocated in advance, so
  /// that it is there when it is needed, nor where the kernel keeps them.
  public var isTrimmable: Bool { !isPreallocated && backing == .anonymous }

  /// What gives zero pages of huge pages back; opens what that needs.
  ///
  /// - Throws: `HostPagesError` if the kernel (before Linux 6.12) does not free what is zero of a
  ///   huge page that it splits. It is asked once in a process.
  public func trimmer() throws(HostPagesError) -> HugePageTrimmer {
    if let obstacle = HugePageTrimmer.obstacle { throw obstacle }
    return try HugePageTrimmer(self)
  }
}

extension HugePageTrimmer {
  /// What keeps it from working on this host; nil if nothing does.
  public static let obstacle: HostPagesError? = UnderusedHugePages.obstacle()
}
