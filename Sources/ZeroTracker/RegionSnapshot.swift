/// One region of a snapshot: copies of its bitmaps.
struct RegionSnapshot: Sendable {
  let range: PageRange
  /// Bit per page; empty after tracking stopped.
  private let written: [UInt64]
  /// Bit per page: written by the VMM, as refinement found; also in `written`. May be empty.
  private let refined: [UInt64]
  /// Bit per chunk: what is in `written` of it is most likely the VMM's. May be empty.
  private let settled: [UInt64]
  /// Bit per chunk.
  private let touched: [UInt64]
  /// Bit per chunk; empty while there is none.
  private let claimed: [UInt64]
  private let pageShift: Int

  init(_ region: TrackedRegion) {
    range = region.range
    written = region.latest
    refined = region.refined
    settled = region.settled
    touched = region.touched.copy()
    claimed = region.claimed
    pageShift = region.touched.granularity.pageShift
  }

  /// 64 pages, or those of them that are asked about; a bit may be set in several.
  struct Word: Equatable {
    var touched: UInt64
    var claimed: UInt64
    var written: UInt64
  }

  /// The `index`th 64 pages; bits above the region's end mean nothing.
  @inline(__always)
  func word(_ index: Int) -> Word {
    let written = written.isEmpty ? 0 : written[index]
    var byVMM = refined.isEmpty ? 0 : refined[index]
    if !settled.isEmpty { byVMM |= pages(settled, index) & written }
    return Word(
      touched: pages(touched, index) | byVMM,
      claimed: claimed.isEmpty ? 0 : pages(claimed, index), written: written & ~byVMM)
  }

  @inline(__always)
  private func pages(_ chunks: [UInt64], _ index: Int) -> UInt64 {
    TouchedWord.pageMask(
      chunks[index >> pageShift], word: index & ((1 << pageShift) - 1), pageShift: pageShift)
  }

  /// The chunk of a page of the region; the region's end ends its last chunk.
  func chunk(of page: GPN) -> PageRange {
    let offset = page.rawValue - range.start.rawValue
    let first = offset & ~((1 << UInt64(pageShift)) - 1)
    return PageRange(start: range.start.advanced(by: first), pageCount: 1 << UInt64(pageShift))
      .intersection(range)
  }

  /// Whether no bit is set of a page of the region.
  func isUnwritten(_ page: GPN) -> Bool {
    let bit = Int(page.rawValue - range.start.rawValue)
    let word = word(bit / 64)
    return (word.touched | word.claimed | word.written) >> UInt64(bit % 64) & 1 == 0
  }

  func counts(in pages: PageRange, isComplete: Bool) -> PageCounts {
    var counts = PageCounts()
    for piece in BitPieces(pages.bits(in: range)) {
      let word = word(piece.word)
      counts.memory += UInt64(piece.mask.nonzeroBitCount)
      counts.touched += UInt64((piece.mask & word.touched).nonzeroBitCount)
      counts.claimed += UInt64((piece.mask & word.claimed).nonzeroBitCount)
      counts.written += UInt64((piece.mask & word.written).nonzeroBitCount)
      if isComplete {
        let zeroed = piece.mask & ~(word.touched | word.written)
        counts.zeroed += UInt64(zeroed.nonzeroBitCount)
      }
    }
    return counts
  }
}
