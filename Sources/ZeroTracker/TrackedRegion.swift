/// What the tracker knows, under its lock, of one RAM region besides the touched map.
struct TrackedRegion {
  /// What is RAM of the map's pages: all of them, or the first where RAM grows.
  private(set) var range: PageRange
  let touched: TouchedMap
  /// Bit per page: written as far as the source has reported; bits above the last page are always
  /// 1, so that a scan needs no special last word. Kept from answer to answer: what was written
  /// once stays written, even if a source should forget it unasked. With a source that answers by
  /// content only what the tracker itself withholds.
  private(set) var written: [UInt64]
  /// Bit per page: found not to be zero when its chunk was refined, so most likely written by the
  /// VMM. These bits are in `written` as well, which alone is scanned. Empty while there is none.
  private(set) var refined: [UInt64] = []
  /// What a source that answers by content said last, with all of `written`; empty with any other.
  private var content: [UInt64] = []
  /// Bit per chunk, numbered as in `touched`: settled, so that what is found in it is most likely
  /// the VMM's. Empty while there is none.
  private(set) var settled: [UInt64] = []
  /// Bit per chunk, numbered as in `touched`: never to be cleared again. Empty while there is none.
  private(set) var claimed: [UInt64] = []

  /// - Parameter range: what is RAM so far, from the map's first page on; nil for all of it.
  init(touched: TouchedMap, range: PageRange? = nil) {
    self.range = range ?? touched.region
    self.touched = touched
    written = []
    resetWritten()
  }

  /// Makes room for the source's answer: nothing is written yet.
  private mutating func resetWritten() {
    written = Array(repeating: 0, count: (Int(range.pageCount) + 63) / 64)
    Self.setBits(above: range, in: &written)
  }

  /// Takes pages behind the last one, of which nothing is written.
  ///
  /// - Parameters:
  ///   - pages: all that is RAM then; more than before, and a multiple of 64 pages, as it was.
  ///   - hasBits: false after the end of tracking, which freed them.
  mutating func grow(to pages: PageRange, hasBits: Bool) {
    range = pages
    guard hasBits else { return }
    let newCount = Int(pages.pageCount / 64) - written.count
    written += repeatElement(0, count: newCount)
    if !refined.isEmpty { refined += repeatElement(0, count: newCount) }
    // The source has said nothing of them yet.
    if !content.isEmpty { content += repeatElement(.max, count: newCount) }
  }

  private static func setBits(above range: PageRange, in words: inout [UInt64]) {
    let used = UInt64(range.pageCount % 64)
    if used != 0 { words[words.count - 1] |= UInt64.max << used }
  }

  /// Adds what the source knows.
  mutating func read(_ source: any WrittenPageSource) throws {
    if source.answersByContent {
      content = written
      try Self.read(source, range, into: &content)
    } else {
      try Self.read(source, range, into: &written)
    }
  }

  private static func read(
    _ source: any WrittenPageSource, _ range: PageRange, into words: inout [UInt64]
  ) throws {
    var span = words.mutableSpan
    try source.readWrittenPages(of: range, into: &span)
    // A source that stores instead of ORing may have cleared them.
    setBits(above: range, in: &words)
  }

  /// Bit per page: written, as far as was known at the last reading.
  var latest: [UInt64] { content.isEmpty ? written : content }

  func scan(_ scanner: inout ZeroedRunScanner) {
    let shift = touched.granularity.pageShift
    let latest = latest
    touched.withWords { words in
      // The map may have words for pages that are no RAM yet.
      let used = ((latest.count - 1) >> shift) + 1
      scanner.scan(
        range, written: latest.span, touched: words.extracting(first: used), pageShift: shift)
    }
  }

  /// Makes all chunks without a claim untouched: the source tells what is in them.
  mutating func settle() {
    if settled.isEmpty { settled = Array(repeating: 0, count: touched.wordCount) }
    touched.clear(into: &settled, except: claimed)
  }

  /// Sets or clears the written bits of the pages of `pages` that are in the region.
  mutating func setWritten(_ isWritten: Bool, _ pages: PageRange) {
    for piece in BitPieces(pages.bits(in: range)) {
      if isWritten {
        written[piece.word] |= piece.mask
        if !content.isEmpty { content[piece.word] |= piece.mask }
      } else {
        written[piece.word] &= ~piece.mask
        if !refined.isEmpty { refined[piece.word] &= ~piece.mask }
      }
    }
  }

  /// The lowest run of touched chunks from `start` on without a claim, as pages; at most
  /// `pageCount` pages, but at least one chunk.
  func refinableRun(from start: GPN, pageCount: Int) -> PageRange? {
    let shift = touched.granularity.pageShift
    let pages = PageRange(start: start, end: range.end).bits(in: range)
    let first = touched.firstTouched(
      from: (pages.lowerBound + (1 << shift) - 1) >> shift, except: claimed)
    // A mark may be of pages that are no RAM yet.
    guard !pages.isEmpty, let first, first << shift < Int(range.pageCount) else { return nil }
    // The region's last chunk may have fewer pages than the others.
    func firstPage(_ chunk: Int) -> Int { min(chunk << shift, Int(range.pageCount)) }
    var end = first + 1
    while firstPage(end + 1) - firstPage(first) <= pageCount, firstPage(end) < Int(range.pageCount),
      touched.firstTouched(from: end, except: claimed) == end
    { end += 1 }
    return PageRange(
      start: range.start.advanced(by: UInt64(firstPage(first))),
      pageCount: UInt64(firstPage(end) - firstPage(first)))
  }

  /// Replaces the coarse bits of `run`, which `refinableRun` gave, by exact ones.
  mutating func refine(_ run: PageRange, nonZero: [PageRange]) {
    if refined.isEmpty { refined = Array(repeating: 0, count: written.count) }
    for pages in nonZero {
      for piece in BitPieces(pages.bits(in: range)) {
        written[piece.word] |= piece.mask
        refined[piece.word] |= piece.mask
      }
    }
    clearTouched(run)
  }

  /// Touches the pages for good.
  mutating func claim(_ pages: PageRange) {
    let bits = pages.bits(in: range)
    guard !bits.isEmpty else { return }
    if claimed.isEmpty { claimed = Array(repeating: 0, count: touched.wordCount) }
    let shift = touched.granularity.pageShift
    let chunks = (bits.lowerBound >> shift)..<(((bits.upperBound - 1) >> shift) + 1)
    for piece in BitPieces(chunks) { claimed[piece.word] |= piece.mask }
    touched.mark(pages)
  }

  /// The runs of pages of `pages` in the region without a claim, ascending.
  func unclaimed(_ pages: PageRange) -> [PageRange] {
    let common = range.intersection(pages)
    guard !common.isEmpty else { return [] }
    guard !claimed.isEmpty else { return [common] }
    let shift = touched.granularity.pageShift
    let bits = common.bits(in: range)
    var runs: [PageRange] = []
    var page = bits.lowerBound
    while page < bits.upperBound {
      let end = min(
        Self.firstBit(true, in: claimed, from: page >> shift) << shift, bits.upperBound)
      if page < end {
        runs.append(
          PageRange(
            start: range.start.advanced(by: UInt64(page)), pageCount: UInt64(end - page)))
      }
      guard end < bits.upperBound else { break }
      page = Self.firstBit(false, in: claimed, from: end >> shift) << shift
    }
    return runs
  }

  /// The first bit from `bit` on that has this value; without one, the number of bits.
  private static func firstBit(_ value: Bool, in words: [UInt64], from bit: Int) -> Int {
    var mask = UInt64.max << UInt64(bit % 64)
    var word = bit / 64
    while word < words.count {
      let found = (value ? words[word] : ~words[word]) & mask
      if found != 0 { return word * 64 + found.trailingZeroBitCount }
      word += 1
      mask = .max
    }
    return words.count * 64
  }

  /// Adds words of both bitmaps, as a saved state has them; the caller touches what is claimed.
  mutating func add(claimedWords: [UInt64], writtenWords: [UInt64]) {
    if claimed.isEmpty, claimedWords.contains(where: { $0 != 0 }) {
      claimed = Array(repeating: 0, count: touched.wordCount)
    }
    for index in claimed.indices { claimed[index] |= claimedWords[index] }
    for index in written.indices { written[index] |= writtenWords[index] }
  }

  /// Makes the chunks wholly inside `pages` untouched, except claimed ones.
  mutating func clearTouched(_ pages: PageRange) {
    let chunks = touched.chunksWithin(pages)
    touched.clear(chunks, except: claimed)
    guard !settled.isEmpty else { return }
    for piece in BitPieces(chunks) { settled[piece.word] &= ~piece.mask }
  }

  /// Gives the memory of the written bits back; the region is not scanned again.
  mutating func freeWritten() {
    written = []
    refined = []
    content = []
    settled = []
  }
}
