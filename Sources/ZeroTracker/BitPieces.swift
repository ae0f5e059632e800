/// A run of bit numbers cut at the 64-bit words it crosses: each word with the mask of its bits.
struct BitPieces: Sequence, IteratorProtocol {
  private var position: Int
  private let end: Int

  init(_ bits: Range<Int>) {
    position = bits.lowerBound
    end = bits.upperBound
  }

  mutating func next() -> (word: Int, mask: UInt64)? {
    guard position < end else { return nil }
    let word = position / 64
    let low = position % 64
    let high = Swift.min(64, end - word * 64)
    position = word * 64 + high
    // high - low is 1...64, so the shift is 0...63.
    return (word, (UInt64.max >> UInt64(64 - (high - low))) << UInt64(low))
  }
}
