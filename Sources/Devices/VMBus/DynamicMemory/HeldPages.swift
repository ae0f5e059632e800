internal import DeviceKit

/// The pages that a guest has given up, one bit for each page of RAM and of what lies between.
struct HeldPages: Sendable {
  private var words: [UInt64] = []
  private(set) var pageCount: UInt64 = 0

  /// Adds pages.
  ///
  /// - Returns: those that were not there before, in runs.
  mutating func insert(_ pages: Range<UInt64>) -> [Range<UInt64>] {
    guard !pages.isEmpty else { return [] }
    let last = Int((pages.upperBound - 1) / 64)
    if words.count <= last {
      words.append(contentsOf: repeatElement(0, count: last + 1 - words.count))
    }
    var runs: [Range<UInt64>] = []
    for page in pages {
      let (index, bit) = (Int(page / 64), UInt64(1) << (page % 64))
      guard words[index] & bit == 0 else { continue }
      words[index] |= bit
      if let run = runs.last, run.upperBound == page {
        runs[runs.count - 1] = run.lowerBound..<(page + 1)
      } else {
        runs.append(page..<(page + 1))
      }
    }
    pageCount += runs.reduce(0) { $0 + UInt64($1.count) }
    return runs
  }

  /// Takes pages out, from the highest on.
  ///
  /// - Parameters:
  ///   - count: how many at most.
  ///   - rangeCount: in how many runs at most.
  mutating func take(
    _ count: UInt64, rangeCount: Int, rangePageCount: UInt64
  ) -> [Range<UInt64>] {
    var runs: [Range<UInt64>] = []
    var left = count
    for index in words.indices.reversed() where words[index] != 0 {
      while left > 0, words[index] != 0 {
        let bit = 63 - UInt64(words[index].leadingZeroBitCount)
        let page = UInt64(index) * 64 + bit
        if let run = runs.last, run.lowerBound == page + 1, run.count < rangePageCount {
          runs[runs.count - 1] = page..<run.upperBound
        } else if runs.count < rangeCount {
          runs.append(page..<(page + 1))
        } else {
          return runs
        }
        words[index] &= ~(1 << bit)
        pageCount -= 1
        left -= 1
      }
      if left == 0 { break }
    }
    return runs
  }

  /// Saves or restores them. Whether a page is RAM is not asked: the guest that gets it back knows.
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    // Of 4 PiB.
    try transfer.integers(&words, maximumCount: 1 << 34)
    pageCount = words.reduce(0) { $0 + UInt64($1.nonzeroBitCount) }
  }
}
