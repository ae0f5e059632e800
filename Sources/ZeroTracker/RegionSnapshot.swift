/// One region of a snapshot: copies of its bitmaps.
struct RegionSnapshot: Sendable {
  let range: PageRange
  /// Bit per page; empty after tracking stopped.
  private let written: [UInt64]
  /// Bit per page: written by the VMM, as refinement found; also in `written`. May be empty.
  private let refined: [UInt64]
  /// Bit per chunk.
  private let touched: [UInt64]
  private let pageShift: Int

  init(_ region: TrackedRegion) {
    range = region.range
    written = region.written
    refined = region.refined
    touched = region.touched.copy()
    pageShift = region.touched.granularity.pageShift
  }

  func counts(in pages: PageRange, isComplete: Bool) -> PageCounts {
    var counts = PageCounts()
    for piece in BitPieces(pages.bits(in: range)) {
      let refinedPages = refined.isEmpty ? 0 : piece.mask & refined[piece.word]
      let touchedPages =
        refinedPages | piece.mask
        & TouchedWord.pageMask(
          touched[piece.word >> pageShift], word: piece.word & ((1 << pageShift) - 1),
          pageShift: pageShift)
      let writtenPages =
        written.isEmpty ? 0 : piece.mask & written[piece.word] & ~refinedPages
      counts.memory += UInt64(piece.mask.nonzeroBitCount)
      counts.touched += UInt64(touchedPages.nonzeroBitCount)
      counts.written += UInt64(writtenPages.nonzeroBitCount)
      if isComplete {
        let zeroed = piece.mask & ~(touchedPages | writtenPages)
        counts.zeroed += UInt64(zeroed.nonzeroBitCount)
      }
    }
    return counts
  }
}
