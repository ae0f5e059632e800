/// One bit per page, page 0 in bit 0 of word 0.
enum PageBits {
  /// Sets the bits of `pages`, a word at a time.
  static func set(_ pages: Range<Int>, in words: inout MutableSpan<UInt64>) {
    guard let last = pages.last else { return }
    let firstWord = pages.lowerBound / 64
    let lastWord = last / 64
    let firstMask = ~UInt64(0) << UInt64(pages.lowerBound % 64)
    let lastMask = ~UInt64(0) >> UInt64(63 - last % 64)
    if firstWord == lastWord {
      words[firstWord] |= firstMask & lastMask
      return
    }
    words[firstWord] |= firstMask
    for index in firstWord + 1..<lastWord {
      words[index] = ~0
    }
    words[lastWord] |= lastMask
  }
}
