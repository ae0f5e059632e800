internal import Bytes

/// Finds that lines moved up or down, as a console's do: such a picture is sent in a few bytes.
///
/// It compares hashes of lines, so what it finds may be wrong; the caller compares the lines.
enum ScrollFinder {
  /// Fewer lines that changed are not worth a look.
  static let leastChanged = 32
  /// Lines that agree on how far they moved.
  private static let leastVotes = 8
  /// Lines that moved as one.
  private static let leastMoved = 48

  /// - Parameters:
  ///   - old: a hash of each line, as viewers have it.
  ///   - new: a hash of each line, as it is now.
  /// - Returns: lines that are now what those `distance` below them were; above, if negative.
  static func find(old: [UInt64], new: [UInt64]) -> (lines: Range<Int>, distance: Int)? {
    precondition(old.count == new.count, "\(old.count) lines before, \(new.count) now")
    let changed = new.indices.filter { old[$0] != new[$0] }
    guard changed.count >= leastChanged else { return nil }
    // Lines that are there once: empty ones would agree on anything.
    var places: [UInt64: Int?] = [:]
    for (line, hash) in old.enumerated() {
      places.updateValue(places[hash] == nil ? line : nil, forKey: hash)
    }
    var votes: [Int: Int] = [:]
    for line in changed {
      if let place = places[new[line]] ?? nil { votes[place - line, default: 0] += 1 }
    }
    guard let (distance, count) = votes.max(by: { ($0.value, $1.key) < ($1.value, $0.key) }),
      count >= leastVotes, distance != 0
    else { return nil }
    let moved = longestRun(new.indices.clamped(to: -distance..<(new.count - distance))) {
      new[$0] == old[$0 + distance]
    }
    return moved.count >= leastMoved ? (moved, distance) : nil
  }

  private static func longestRun(_ lines: Range<Int>, _ isPart: (Int) -> Bool) -> Range<Int> {
    var longest = 0..<0
    var start = lines.lowerBound
    for line in lines {
      if !isPart(line) {
        start = line + 1
      } else if line + 1 - start > longest.count {
        longest = start..<(line + 1)
      }
    }
    return longest
  }

  /// A hash of half of a line's pixels.
  static func hash(_ bytes: RawSpan) -> UInt64 {
    var hash: UInt64 = 0x9E37_79B9_7F4A_7C15
    for offset in stride(from: 0, to: bytes.byteCount - 7, by: 16) {
      let pixels: UInt64 = bytes.loadLE(at: offset)
      hash = (hash ^ pixels) &* 0x0000_0100_0000_01B3
      hash ^= hash >> 29
    }
    return hash
  }
}
