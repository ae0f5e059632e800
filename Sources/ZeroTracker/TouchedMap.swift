public import Synchronization

/// Which chunks of one RAM region the VMM wrote, or is about to write.
///
/// Safe from any thread, without a lock. One bit per chunk of the granularity, counted from the
/// region's first page; a write to part of a chunk touches the chunk.
///
/// ## Ordering
/// A writer calls `mark`, then writes bytes; never the other way round. `mark` returns after the
/// bit is visible to every processor and no byte written after it can become visible before:
///
/// - bit clear: the sequentially consistent OR is a locked instruction, a full barrier on x86-64,
///   and its acquire half keeps the compiler from moving the bytes above it;
/// - bit already set: the acquiring load keeps the bytes below it, and what one processor has read,
///   every other processor reads from then on (stores of x86-64 reach all processors at once).
///
/// So a reader that finds a bit clear knows that at that instant no marked byte of the chunk had
/// changed. `ZeroTracker.zeroedRanges` builds on this.
public final class TouchedMap: Sendable {
  /// The pages the map covers.
  public let region: PageRange
  /// Memory per bit.
  public let granularity: TrackingGranularity
  @usableFromInline let words: AtomicWords
  @usableFromInline let pageShift: Int

  /// A map with nothing touched. The region must have a page and not more than
  /// `ZeroTracker.maximumPageCount`.
  public init(region: PageRange, granularity: TrackingGranularity) {
    precondition(
      !region.isEmpty && region.pageCount <= ZeroTracker.maximumPageCount,
      "touched map over \(region)")
    self.region = region
    self.granularity = granularity
    pageShift = granularity.pageShift
    let chunkCount = ((Int(region.pageCount) - 1) >> granularity.pageShift) + 1
    words = AtomicWords(count: (chunkCount + 63) / 64)
  }

  /// Marks every chunk that has a page of `range`; pages outside the region are ignored.
  ///
  /// Call it before the write (see Ordering). Costs one load when the chunk was touched before.
  public func mark(_ range: PageRange) {
    if isMarkedPage(range) { return }
    let pages = range.bits(in: region)
    guard !pages.isEmpty else { return }
    let shift = granularity.pageShift
    let chunks = (pages.lowerBound >> shift)..<(((pages.upperBound - 1) >> shift) + 1)
    words.withWords { words in
      for piece in BitPieces(chunks) {
        // Load first: a locked operation per write would cost several times more.
        if words[piece.word].load(ordering: .acquiring) & piece.mask != piece.mask {
          words[piece.word].bitwiseOr(piece.mask, ordering: .sequentiallyConsistent)
        }
      }
    }
  }

  /// Whether the range is one page of the region whose chunk is touched, as with most writes of
  /// devices: `mark` then has nothing to do.
  @inlinable
  @inline(__always)
  func isMarkedPage(_ range: PageRange) -> Bool {
    // Wraps below the region, to more than any region has.
    let index = range.start.rawValue &- region.start.rawValue
    guard range.pageCount == 1, index < region.pageCount else { return false }
    let chunk = Int(truncatingIfNeeded: index) &>> pageShift
    // SAFETY: the region's pages have a bit each `1 << pageShift`; `init` allocated words for all.
    let word = unsafe words.base[chunk &>> 6].load(ordering: .acquiring)
    return word &>> UInt64(truncatingIfNeeded: chunk) & 1 != 0
  }

  /// Whether the chunk of a page is touched; `true` for a page outside the region.
  public func isTouched(_ page: GPN) -> Bool {
    guard region.contains(page) else { return true }
    let chunk = Int(page.rawValue - region.start.rawValue) >> granularity.pageShift
    return words.withWords { words in
      words[chunk / 64].load(ordering: .acquiring) & (1 << UInt64(chunk % 64)) != 0
    }
  }

  /// The chunks that lie wholly in `range`, as bit numbers; the region's end ends its last chunk.
  func chunksWithin(_ range: PageRange) -> Range<Int> {
    let pages = range.bits(in: region)
    let shift = granularity.pageShift
    let first = (pages.lowerBound + (1 << shift) - 1) >> shift
    let reachesEnd = pages.upperBound == Int(region.pageCount)
    let end = reachesEnd ? ((pages.upperBound - 1) >> shift) + 1 : pages.upperBound >> shift
    return first < end ? first..<end : 0..<0
  }

  /// The lowest touched chunk from `chunk` on that is not set in `others` (same numbering; empty:
  /// none).
  func firstTouched(from chunk: Int, except others: [UInt64]) -> Int? {
    words.withWords { words in
      var word = chunk / 64
      var mask = UInt64.max << UInt64(chunk % 64)
      while word < words.count {
        let bits =
          words[word].load(ordering: .acquiring) & mask & ~(others.isEmpty ? 0 : others[word])
        if bits != 0 { return word * 64 + bits.trailingZeroBitCount }
        word += 1
        mask = .max
      }
      return nil
    }
  }

  /// Makes chunks untouched, except those set in `kept` (same numbering; empty: none).
  ///
  /// The caller excludes writers of these chunks from before their memory became zero until now.
  func clear(_ chunks: Range<Int>, except kept: [UInt64]) {
    words.withWords { words in
      for piece in BitPieces(chunks) {
        let mask = kept.isEmpty ? piece.mask : piece.mask & ~kept[piece.word]
        words[piece.word].bitwiseAnd(~mask, ordering: .sequentiallyConsistent)
      }
    }
  }

  /// Makes all chunks untouched, except those set in `kept` (same numbering; empty: none), and adds
  /// them to `cleared`.
  ///
  /// The caller excludes writers that have marked and not yet written.
  func clear(into cleared: inout [UInt64], except kept: [UInt64]) {
    words.withWords { words in
      for index in words.indices {
        let mask = kept.isEmpty ? UInt64.max : ~kept[index]
        // Most words are clear: a locked operation for each would cost several times more.
        let bits = words[index].load(ordering: .acquiring) & mask
        guard bits != 0 else { continue }
        cleared[index] |= bits
        words[index].bitwiseAnd(~bits, ordering: .sequentiallyConsistent)
      }
    }
  }

  /// Number of words, for a bitmap of the same numbering.
  var wordCount: Int { words.count }

  /// A copy of the bits, each word read atomically.
  func copy() -> [UInt64] {
    words.withWords { words in
      words.indices.map { words[$0].load(ordering: .acquiring) }
    }
  }

  /// Lends the words to a scan.
  @inline(__always)
  func withWords<R>(_ body: (Span<Atomic<UInt64>>) -> R) -> R {
    words.withWords(body)
  }
}

/// A word of the touched map seen as pages.
enum TouchedWord {
  /// The touched pages of the `word`th group of 64 pages that `touched` covers.
  ///
  /// `touched` has 64 chunks of `1 << pageShift` pages, so there are `1 << pageShift` groups.
  @inline(__always)
  static func pageMask(_ touched: UInt64, word: Int, pageShift: Int) -> UInt64 {
    if pageShift >= 6 {
      // A chunk has whole groups.
      return (touched >> UInt64(word >> (pageShift &- 6))) & 1 == 0 ? 0 : .max
    }
    // A group has 64 >> pageShift chunks: fetch their bits, then widen each to 1 << pageShift.
    let chunkCount = UInt64(64 >> pageShift)
    var bits = (touched >> (UInt64(word) &* chunkCount)) & (UInt64.max >> (64 &- chunkCount))
    guard bits != 0 else { return 0 }
    for _ in 0..<pageShift { bits = doubled(bits) }
    return bits
  }

  /// Each of the low 32 bits twice: bit i becomes bits 2i and 2i + 1.
  private static func doubled(_ bits: UInt64) -> UInt64 {
    // Spreads halves apart, then quarters, down to single bits.
    var spread = bits
    spread = (spread | spread << 16) & 0x0000_FFFF_0000_FFFF
    spread = (spread | spread << 8) & 0x00FF_00FF_00FF_00FF
    spread = (spread | spread << 4) & 0x0F0F_0F0F_0F0F_0F0F
    spread = (spread | spread << 2) & 0x3333_3333_3333_3333
    spread = (spread | spread << 1) & 0x5555_5555_5555_5555
    return spread | spread << 1
  }
}
