import Testing

@testable import HostPages

@Suite struct PageBitsTests {
  /// All ranges of three words against one bit at a time.
  @Test func everyRangeOfThreeWords() {
    for start in 0...192 {
      for end in start...192 {
        var words: [UInt64] = [0, 0, 0]
        var span = words.mutableSpan
        PageBits.set(start..<end, in: &span)
        var model: [UInt64] = [0, 0, 0]
        for page in start..<end { model[page / 64] |= 1 << UInt64(page % 64) }
        #expect(words == model, "pages \(start)..<\(end)")
      }
    }
  }
}
