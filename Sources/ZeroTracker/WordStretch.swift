import Synchronization

/// Finds the end of a stretch of words that are all 0, or all ones: several words for one branch.
///
/// The word at the start is looked at alone first, so that where every word is another one, as a
/// hostile guest makes them, a search costs no more than that look.
enum WordStretch {
  /// Words for one branch. Runs of a guest that boots are longer than 8 words, and inside a block
  /// that is not of the stretch all words are compared.
  private static let blockCount = 8

  /// The first word from `start` on with a bit that is not `isSet`; the count if there is none.
  @inline(__always)
  static func end(of isSet: Bool, in words: Span<UInt64>, from start: Int) -> Int {
    let expected = isSet ? UInt64.max : 0
    var index = start
    guard index < words.count, words[index] == expected else { return index }
    while index &+ blockCount <= words.count {
      // With a count that is constant the bounds checks go.
      let block = words.extracting(index..<(index &+ blockCount))
      var difference: UInt64 = 0
      for word in 0..<blockCount { difference |= block[word] ^ expected }
      if difference == 0 {
        index &+= blockCount
        continue
      }
      var others: UInt64 = 0
      for word in 0..<blockCount { others |= block[word] == expected ? 0 : 1 << UInt64(word) }
      return index &+ others.trailingZeroBitCount
    }
    while index < words.count, words[index] == expected { index &+= 1 }
    return index
  }

  /// The same of the words of both maps ORed; there are as many of each.
  ///
  /// Others may set bits of `others` meanwhile, so a word may be of the stretch in one look and not
  /// in the next: each word that is skipped was of the stretch when it was loaded.
  @inline(__always)
  static func end(
    of isSet: Bool, in words: Span<UInt64>, or others: Span<Atomic<UInt64>>, from start: Int
  ) -> Int {
    precondition(words.count == others.count, "\(words.count) and \(others.count) words")
    let expected = isSet ? UInt64.max : 0
    var index = start
    guard index < words.count,
      words[index] | others[index].load(ordering: .acquiring) == expected
    else { return index }
    while index &+ blockCount <= words.count {
      let range = index..<(index &+ blockCount)
      let block = words.extracting(range)
      let otherBlock = others.extracting(range)
      var difference: UInt64 = 0
      for word in 0..<blockCount {
        difference |= (block[word] | otherBlock[word].load(ordering: .acquiring)) ^ expected
      }
      if difference == 0 {
        index &+= blockCount
        continue
      }
      // The bit above the block stands for none: all may be of the stretch by now.
      var bits: UInt64 = 1 << UInt64(blockCount)
      for word in 0..<blockCount {
        let value = block[word] | otherBlock[word].load(ordering: .acquiring)
        bits |= value == expected ? 0 : 1 << UInt64(word)
      }
      let skipped = bits.trailingZeroBitCount
      index &+= skipped
      if skipped < blockCount { return index }
    }
    while index < words.count,
      words[index] | others[index].load(ordering: .acquiring) == expected
    { index &+= 1 }
    return index
  }
}
