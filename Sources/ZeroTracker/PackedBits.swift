/// A bitmap as runs of words: a variable-length number `count << 2 | kind`, and for literal words
/// the words themselves. Memory that was never written, and memory that was written all over, take
/// a few bytes however large they are.
enum PackedBits {
  private enum Kind {
    static let zeros: UInt64 = 0
    static let ones: UInt64 = 1
    static let literals: UInt64 = 2
  }

  static func wordCount(_ bitCount: Int) -> Int { (bitCount + 63) / 64 }

  /// The used bits of the last word.
  private static func lastMask(_ bitCount: Int) -> UInt64 {
    let used = UInt64(bitCount % 64)
    return used == 0 ? .max : ~(UInt64.max << used)
  }

  /// Appends the first `bitCount` bits of `words`; an empty array stands for zeros.
  static func append(_ words: [UInt64], bitCount: Int, to writer: inout StateWriter) {
    let count = wordCount(bitCount)
    guard !words.isEmpty else { return writer.appendVariable(UInt64(count) << 2 | Kind.zeros) }
    precondition(words.count == count, "\(words.count) words for \(bitCount) bits")
    func word(_ index: Int) -> UInt64 {
      index == count - 1 ? words[index] & lastMask(bitCount) : words[index]
    }
    func kind(_ index: Int) -> UInt64 {
      switch word(index) {
      case 0: Kind.zeros
      case .max: Kind.ones
      default: Kind.literals
      }
    }
    var index = 0
    while index < count {
      let first = index
      let kindOfRun = kind(first)
      repeat { index += 1 } while index < count && kind(index) == kindOfRun
      writer.appendVariable(UInt64(index - first) << 2 | kindOfRun)
      if kindOfRun == Kind.literals {
        for literal in first..<index { writer.append(word(literal)) }
      }
    }
  }

  /// Reads a bitmap of `bitCount` bits; nothing else is allocated.
  ///
  /// - Throws: `malformed` for a run of no words, of more words than are left, of an unknown kind
  ///   or without its literals, and for a bit above the last one.
  static func read(
    bitCount: Int, from reader: inout StateReader
  ) throws(TrackerStateError) -> [UInt64] {
    var words = [UInt64](repeating: 0, count: wordCount(bitCount))
    var index = 0
    while index < words.count {
      let start = reader.offset
      let token = try reader.variable()
      guard token >> 2 >= 1, token >> 2 <= UInt64(words.count - index) else {
        throw .malformed(offset: start)
      }
      let run = index..<(index + Int(token >> 2))
      switch token & 3 {
      case Kind.zeros: break
      case Kind.ones: for word in run { words[word] = .max }
      case Kind.literals: for word in run { words[word] = try reader.uint64() }
      default: throw .malformed(offset: start)
      }
      index = run.upperBound
    }
    guard words[words.count - 1] & ~lastMask(bitCount) == 0 else { throw reader.malformed(back: 1) }
    return words
  }
}
