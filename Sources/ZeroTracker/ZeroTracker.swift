import Synchronization

/// Which guest memory is still zero, from tracked truth: not touched by the VMM, not written by the
/// guest.
///
/// The law: a page is never reported that is not zero. Whatever is uncertain counts as not zero: no
/// source attached, a source that fails, a chunk touched in part.
///
/// Safe from any thread. `markTouched` takes no lock. All else is serialised by one lock and may
/// wait for an answer that is being made (milliseconds per TiB). Memory starts zero and unmarked.
///
/// ## Why a reported page was zero
/// A VMM writer marks, then writes. An answer withholds the reply page, reads the source, then the
/// touched map. Take a page P that it reports, and let S be the instant at which the source looked
/// at P.
///
/// 1. Guest: the source did not have P at S, so no guest write to P was visible before S. (A source
///    reads no earlier than asked; what the tracker remembers of earlier answers only adds pages.)
/// 2. VMM: the bit of P was clear when the answer loaded it, after S. Bits are cleared only under
///    the lock, which the answer holds, so it was clear at S too; and no byte of P changes before
///    its bit is visible (`TouchedMap`, Ordering). So no VMM write to P was visible at S.
/// 3. Hence P was zero at S, which lies between the answer's entry and its return. Bytes that
///    changed later belong to a writer that had not even marked at S: the guest asked for that
///    write (a device's DMA) or made it while its own call was under way, and must not use P as
///    zero anyway.
///
/// The map is read last so that marks made during the slow reading of the source still count. Reply
/// bytes are written after the answer, hence the reply page counts as written before it.
public final class ZeroTracker: Sendable {
  /// The most pages one tracker accepts: 2^32, 16 TiB.
  public static let maximumPageCount: UInt64 = 1 << 32

  /// RAM, ascending and disjoint; without what was added in `growth`.
  public let regions: [PageRange]
  /// Where RAM may be added by `grow`; nil for a tracker that cannot grow.
  public let growth: PageRange?
  /// Memory per bit of the touched map.
  public let granularity: TrackingGranularity
  private let touchedMaps: [TouchedMap]
  /// The first two once more: an element of an array is retained for every mark, a constant is not.
  /// RAM of a PC has no more regions.
  @usableFromInline let firstMap: TouchedMap
  @usableFromInline let secondMap: TouchedMap?
  let state: Guarded<TrackerState>
  /// Written under the lock; read without it, where being late does no harm.
  let tracking = Atomic<Bool>(false)

  /// A tracker over RAM that is zero, with nothing touched and no source.
  ///
  /// - Parameters:
  ///   - regions: RAM in pages, ascending and disjoint. A reported range never crosses from one
  ///     region into the next, even if they adjoin.
  ///   - growth: pages above all regions that are no RAM yet, and may become it by `grow`. Marks
  ///     of them count from the beginning.
  ///   - granularity: memory per bit of the touched map.
  /// - Throws: `ZeroTrackerError` for no, empty, unordered, overlapping or too large regions.
  public init(
    regions: [PageRange], growth: PageRange? = nil, granularity: TrackingGranularity = .default
  ) throws(ZeroTrackerError) {
    guard !regions.isEmpty else { throw .noRegions }
    var total: UInt64 = 0
    let all = regions + (growth.map { [$0] } ?? [])
    for (index, region) in all.enumerated() {
      // A saturated end would number fewer pages than the region claims.
      guard !region.isEmpty, region.end.rawValue &- region.start.rawValue == region.pageCount,
        region.end.rawValue < .max
      else { throw .region(region) }
      if index > 0, region.start < all[index - 1].end {
        throw .regionOrder(region, after: all[index - 1])
      }
      total = total.addingReportingOverflow(region.pageCount).partialValue
      guard total <= Self.maximumPageCount, region.pageCount <= Self.maximumPageCount else {
        throw .pageCount(max(total, region.pageCount))
      }
    }
    self.regions = regions
    self.growth = growth
    self.granularity = granularity
    let maps = all.map { TouchedMap(region: $0, granularity: granularity) }
    touchedMaps = maps
    firstMap = maps[0]
    secondMap = maps.count > 1 ? maps[1] : nil
    var tracked = maps.map { TrackedRegion(touched: $0) }
    if let growth, let map = maps.last {
      tracked[tracked.count - 1] = TrackedRegion(
        touched: map, range: PageRange(start: growth.start, pageCount: 0))
    }
    state = Guarded(TrackerState(regions: tracked))
  }

  /// Makes the pages of `growth` below `end` RAM; those that are so already stay.
  ///
  /// They are reported from then on, as all others are: call it when they are zero, when the source
  /// sees every write that the guest can make to them from the first one on, and before anybody
  /// else may write them, or claim them. Where tracking has ended they are withheld like the rest.
  /// A touched chunk that RAM ends in stays so until RAM has all of it.
  /// Any thread; waits for an answer that is being made.
  ///
  /// - Precondition: `end` is in `growth`, or its end, and a multiple of 64 pages above its start.
  public func grow(to end: GPN) {
    guard let growth else { preconditionFailure("a tracker that cannot grow") }
    let pages = PageRange(start: growth.start, end: end)
    precondition(
      end <= growth.end && pages.pageCount.isMultiple(of: 64), "growth to \(end) of \(growth)")
    state.withLock { $0.grow(to: pages) }
  }

  /// Names the one source of guest writes; called once, before `stop`.
  ///
  /// Until then nothing is reported: guest writes are unknown. What the source promises is with
  /// `WrittenPageSource`. If `restore` ended tracking, the source is kept for `stop` and never
  /// asked.
  public func attach(source: any WrittenPageSource) {
    state.withLock { state in
      precondition(
        state.phase == .unattached || (state.isEndedByRestore && state.source == nil),
        "a source attached in phase \(state.phase)")
      state.source = source
      guard state.phase == .unattached else { return }
      state.phase = .tracking
      tracking.store(true, ordering: .relaxed)
    }
  }

  /// Whether a source is attached and tracking was not stopped. Any thread; never waits.
  public var isTracking: Bool {
    // Relaxed: a hint. What depends on it looks again under the lock.
    tracking.load(ordering: .relaxed)
  }

  /// Withholds pages that the VMM is about to write; call it before the first byte changes.
  ///
  /// Any thread; takes no lock. Whole chunks are withheld. Parts outside RAM are ignored.
  @inlinable
  @inline(__always)
  public func markTouched(_ range: PageRange) {
    if firstMap.isMarkedPage(range) { return }
    if let secondMap, secondMap.isMarkedPage(range) { return }
    markInEachMap(range)
  }

  /// Inlined it would be too much for every write.
  @usableFromInline
  @inline(never)
  func markInEachMap(_ range: PageRange) {
    firstMap.mark(range)
    secondMap?.mark(range)
    guard touchedMaps.count > 2 else { return }
    for map in touchedMaps.dropFirst(2) { map.mark(range) }
  }

  /// The largest ranges of pages that were zero during the call.
  ///
  /// Largest first, equal ones by address; each within one region. Exact at page granularity but
  /// for touched chunks. The work is bounded whatever the guest wrote (see `ZeroedRunScanner`); it
  /// grows with a `limit` far above 255. Any thread; calls wait for each other.
  ///
  /// - Parameters:
  ///   - replyPage: the page the answer will be written to; it counts as written from now on, also
  ///     if nothing is reported.
  ///   - limit: the most ranges; 255 fit the reply of *HvExtCallGetBootZeroedMemory*.
  /// - Returns: no range without a source, after `stop`, or if the source fails.
  public func zeroedRanges(replyPage: GPN?, limit: Int = 255) -> [PageRange] {
    state.withLock { $0.zeroedRanges(replyPage: replyPage, limit: limit) }
  }

  /// As `zeroedRanges(replyPage:limit:)`, in plain page numbers (GPNs), for users who have a type
  /// of their own for ranges.
  public func zeroedPages(replyPage: UInt64) -> [Range<UInt64>] {
    zeroedRanges(replyPage: GPN(rawValue: replyPage)).map { $0.pageNumbers }
  }

  /// Makes memory reportable again that the host discarded already and that reads as zero.
  ///
  /// Only for a machine at rest: from before the discard until this returns, the caller keeps
  /// vCPUs, devices and every other writer away from the range. For a running guest use
  /// `markZeroed(_:after:)`. Chunks covered in part stay touched; claimed ones too.
  public func markZeroed(_ range: PageRange) {
    markZeroed(range, after: {})
  }

  /// Discards memory and makes it reportable again, while the guest runs.
  ///
  /// In this order, with answers excluded throughout: the source forgets the pages, `discard` makes
  /// them read as zero, their chunks become untouched. A guest write before the discard is gone
  /// with it; one after it is noticed, because forgetting came earlier. One between the two is
  /// noticed though its bytes are gone: data is lost, but no non-zero page is reported. Chunks
  /// covered in part stay touched; claimed ones too.
  ///
  /// - Parameters:
  ///   - range: pages; parts outside RAM are ignored.
  ///   - discard: makes every page of the range in RAM zero. It must not call this tracker. If it
  ///     throws, the range counts as written from then on.
  /// - Precondition: the caller keeps VMM writers of the range away for the time of the call: none
  ///   may be between its mark and its last byte.
  /// - Throws: what `discard` throws.
  public func markZeroed<E: Error>(
    _ range: PageRange, after discard: () throws(E) -> Void
  ) throws(E) {
    try state.withLock { (state) throws(E) in
      try state.markZeroed(range, after: discard)
    }
  }

  /// Withholds pages for good: memory lent out raw, or written by someone no source sees.
  ///
  /// Whole chunks; `markZeroed` does not bring them back. Call it before the first such write. Any
  /// thread. Parts outside RAM are ignored.
  ///
  /// - Parameter owner: the writer's name, for people to read. The last 64 claims are in a
  ///   snapshot.
  public func claim(_ range: PageRange, owner: String) {
    markTouched(range)
    state.withLock { $0.claim(range, owner: owner) }
  }

  /// `claim(_:owner:)` for an owner without a name.
  public func claim(_ range: PageRange) {
    claim(range, owner: Claim.unnamedOwner)
  }

  /// The runs of pages of `range` that are RAM and not claimed, ascending: what a guest may be let
  /// give away. A claim's whole chunks are left out. Any thread.
  public func unclaimed(_ range: PageRange) -> [PageRange] {
    state.withLock { $0.unclaimed(range) }
  }

  /// Ends tracking: nothing is reported any more, the source stops, bitmaps are freed.
  ///
  /// Idempotent. Marks are still accepted, and cost what they did.
  ///
  /// - Throws: what the source's `stop` throws; tracking has ended all the same, and the next call
  ///   stops the source again.
  public func stop() throws {
    try state.withLock { state in
      tracking.store(false, ordering: .relaxed)
      try state.stop()
    }
  }

  /// What is known now of every page, for reports and drawings; reads the source.
  ///
  /// Any thread; waits for an answer being made. Copies the bitmaps: 34 MiB per TiB.
  public func snapshot() -> ZeroTrackerSnapshot {
    state.withLock { $0.snapshot() }
  }
}
