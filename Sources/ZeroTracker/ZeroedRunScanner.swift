import Synchronization

/// One pass over written NOR touched that keeps the largest runs of zeroed pages.
///
/// Words that continue what the last word ended with are skipped, several for one branch. Every
/// other word costs a bounded number of instructions however many runs it has: inside a word only
/// runs longer than the worst one kept can matter, and whether there is one is found in at most six
/// shift-and-AND steps. So the result is always the exact one at 4 KiB, without a budget: a guest
/// that writes every second page buys a few milliseconds, not 134 million heap insertions per TiB.
///
/// Folding to coarser cells first could not report more. A cell counts as zeroed only if all its
/// pages are, so every folded run lies inside a run found here, no two inside the same one: the 255
/// largest folded runs never have more pages than the 255 largest exact ones.
struct ZeroedRunScanner {
  private static let closed = UInt64.max

  private(set) var largest: LargestRanges
  /// First page of the run that reaches up to the current word, or `closed`.
  private var openStart = Self.closed

  init(limit: Int) {
    largest = LargestRanges(limit: limit)
  }

  /// Scans one region; regions come in ascending order. A run ends with its region.
  ///
  /// - Parameters:
  ///   - written: bit per page from `region.start`; bits above the region are 1.
  ///   - touched: bit per chunk of `1 << pageShift` pages.
  mutating func scan(
    _ region: PageRange, written: Span<UInt64>, touched: Span<Atomic<UInt64>>, pageShift: Int
  ) {
    // One touched word covers 64 << pageShift pages: 1 << pageShift written words.
    precondition(
      written.count == (Int(region.pageCount) + 63) / 64
        && touched.count == ((written.count - 1) >> pageShift) + 1,
      "\(written.count) written and \(touched.count) touched words for \(region)")
    let base = region.start.rawValue
    if pageShift == 0 {
      scanPages(written, touched, base: base)
    } else {
      scanChunks(written, touched, base: base, pageShift: pageShift)
    }
    close(at: region.end.rawValue)
  }

  /// A bit per page in both maps: one pass over both.
  private mutating func scanPages(
    _ written: Span<UInt64>, _ touched: Span<Atomic<UInt64>>, base: UInt64
  ) {
    var index = 0
    while true {
      // Go on while nothing changes: all used outside a run, nothing inside one.
      index = WordStretch.end(
        of: openStart == Self.closed, in: written, or: touched, from: index)
      guard index < written.count else { return }
      // Cannot wrap: a region's last page number fits.
      take(
        ~(written[index] | touched[index].load(ordering: .acquiring)),
        at: base &+ UInt64(index) &* 64)
      index &+= 1
    }
  }

  /// A touched word for `1 << pageShift` written words: most of them need no look at the touched
  /// map.
  private mutating func scanChunks(
    _ written: Span<UInt64>, _ touched: Span<Atomic<UInt64>>, base: UInt64, pageShift: Int
  ) {
    var index = 0
    while index < touched.count {
      let word = touched[index].load(ordering: .acquiring)
      var next = index + 1
      let first = index << pageShift
      if word == 0 {
        while next < touched.count, touched[next].load(ordering: .acquiring) == 0 { next += 1 }
        let words = first..<min(next << pageShift, written.count)
        scanUntouched(written.extracting(words), base: base &+ UInt64(first) &* 64)
      } else if word == .max {
        close(at: base &+ UInt64(first) &* 64)
      } else {
        scanMixed(
          written, first..<min(next << pageShift, written.count), base: base, touched: word,
          pageShift: pageShift)
      }
      index = next
    }
  }

  /// Ends the open run, if any, at `page`.
  private mutating func close(at page: UInt64) {
    guard openStart != Self.closed else { return }
    largest.offer(start: openStart, pageCount: page &- openStart)
    openStart = Self.closed
  }

  /// Words of which nothing is touched.
  private mutating func scanUntouched(_ written: Span<UInt64>, base: UInt64) {
    var index = 0
    while true {
      index = WordStretch.end(of: openStart == Self.closed, in: written, from: index)
      guard index < written.count else { return }
      take(~written[index], at: base &+ UInt64(index) &* 64)
      index &+= 1
    }
  }

  private mutating func scanMixed(
    _ written: Span<UInt64>, _ words: Range<Int>, base: UInt64, touched: UInt64, pageShift: Int
  ) {
    for index in words {
      let mask = TouchedWord.pageMask(
        touched, word: index &- words.lowerBound, pageShift: pageShift)
      take(~(written[index] | mask), at: base &+ UInt64(index) &* 64)
    }
  }

  /// Takes 64 pages from `page` on; a 1 in `zeroed` is a zeroed page.
  @inline(__always)
  private mutating func take(_ zeroed: UInt64, at page: UInt64) {
    if zeroed == 0 {
      close(at: page)
    } else if zeroed == .max {
      if openStart == Self.closed { openStart = page }
    } else {
      takeMixed(zeroed, at: page)
    }
  }

  private mutating func takeMixed(_ zeroed: UInt64, at page: UInt64) {
    let head = UInt64((~zeroed).trailingZeroBitCount)
    if head > 0, openStart == Self.closed { openStart = page }
    close(at: page &+ head)

    let tail = UInt64((~zeroed).leadingZeroBitCount)
    // head + tail < 64: the word is mixed. Both runs are cut off; the inner ones remain.
    var inner = ((zeroed << tail) >> (tail &+ head)) << head
    if Self.hasRun(in: inner, longerThan: largest.threshold) {
      while inner != 0 {
        let start = UInt64(inner.trailingZeroBitCount)
        let length = UInt64((~(inner >> start)).trailingZeroBitCount)
        largest.offer(start: page &+ start, pageCount: length)
        // Adding the lowest bit carries through the run and clears it; the bit above it, a 0
        // before, becomes 1 and is masked off. It cannot carry out: bit 63 is never in `inner`.
        inner &= inner &+ (1 << start)
      }
    }
    if tail > 0 { openStart = page &+ 64 &- tail }
  }

  /// Whether `bits` has more than `count` consecutive ones.
  private static func hasRun(in bits: UInt64, longerThan count: UInt64) -> Bool {
    guard count < 64 else { return false }
    // After each step a 1 means that it and the `have - 1` bits above it were ones.
    var bits = bits
    var have: UInt64 = 1
    while have <= count, bits != 0 {
      let step = min(have, count &+ 1 &- have)
      bits &= bits >> step
      have &+= step
    }
    return bits != 0
  }
}
