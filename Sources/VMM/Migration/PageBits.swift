internal import ZeroTracker

/// A set of pages of a machine's memory: one bit each, region by region.
struct PageBits: Sendable {
  let regions: [PageRange]
  /// Bit 0 of a region's first word is its first page.
  var words: [[UInt64]]

  /// None.
  init(_ regions: [PageRange]) {
    self.regions = regions
    words = regions.map { [UInt64](repeating: 0, count: (Int($0.pageCount) + 63) / 64) }
  }

  var isEmpty: Bool { words.allSatisfy { $0.allSatisfy { $0 == 0 } } }

  var pageCount: UInt64 {
    words.reduce(0) { $0 + $1.reduce(0) { $0 + UInt64($1.nonzeroBitCount) } }
  }

  func contains(_ page: GPN) -> Bool {
    guard let (region, index) = place(page) else { return false }
    return words[region][index / 64] >> UInt64(index % 64) & 1 != 0
  }

  mutating func insert(_ page: GPN) {
    guard let (region, index) = place(page) else { return }
    words[region][index / 64] |= 1 << UInt64(index % 64)
  }

  mutating func remove(_ page: GPN) {
    guard let (region, index) = place(page) else { return }
    words[region][index / 64] &= ~(1 << UInt64(index % 64))
  }

  mutating func insert(_ range: PageRange) {
    for (number, region) in regions.enumerated() {
      let pages = region.intersection(range)
      guard !pages.isEmpty else { continue }
      let first = Int(pages.start.rawValue - region.start.rawValue)
      for index in first..<first + Int(pages.pageCount) {
        words[number][index / 64] |= 1 << UInt64(index % 64)
      }
    }
  }

  mutating func removeAll() { self = PageBits(regions) }

  private func place(_ page: GPN) -> (region: Int, index: Int)? {
    for (number, region) in regions.enumerated() where region.contains(page) {
      return (number, Int(page.rawValue - region.start.rawValue))
    }
    return nil
  }

  /// Calls `body` with each run of neighbouring pages, ascending.
  func forEachRun<E: Error>(_ body: (PageRange) throws(E) -> Void) throws(E) {
    for (number, region) in regions.enumerated() {
      let words = words[number]
      let count = Int(region.pageCount)
      var index = 0
      while let start = Self.next(true, from: index, count, words) {
        let end = Self.next(false, from: start, count, words) ?? count
        try body(
          PageRange(
            start: region.start.advanced(by: UInt64(start)), pageCount: UInt64(end - start)))
        index = end
      }
    }
  }

  /// The first page from `index` on that is in the set, or is not; nil for none.
  private static func next(
    _ isSet: Bool, from index: Int, _ count: Int, _ words: [UInt64]
  ) -> Int? {
    var word = index / 64
    var mask = UInt64.max << UInt64(index % 64)
    while word < words.count {
      let bits = (isSet ? words[word] : ~words[word]) & mask
      if bits != 0 {
        let found = word * 64 + bits.trailingZeroBitCount
        return found < count ? found : nil
      }
      word += 1
      mask = .max
    }
    return nil
  }
}
