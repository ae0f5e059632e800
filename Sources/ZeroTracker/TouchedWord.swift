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
