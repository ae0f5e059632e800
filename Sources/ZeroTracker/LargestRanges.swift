/// The `limit` largest of the ranges offered in ascending order of address; ties go to the lower
/// one.
///
/// A bounded min-heap: its root is the range to lose next (fewest pages, then highest address). A
/// range is taken only if it has more pages than `threshold`, so after `limit` insertions the
/// threshold has risen by at least one page. That bounds the insertions a hostile pattern can
/// cause: `limit` per page of run length, hence about `sqrt(2 * limit * pages)`, 370,000 for 1 TiB.
struct LargestRanges {
  /// A range needs more pages than this to be taken.
  private(set) var threshold: UInt64
  private var heap: [PageRange] = []
  private let limit: Int

  init(limit: Int) {
    self.limit = limit
    // Nothing has more pages than .max: a limit of 0 takes nothing.
    threshold = limit > 0 ? 0 : .max
    heap.reserveCapacity(Swift.min(Swift.max(limit, 0), 255))
  }

  mutating func offer(start: UInt64, pageCount: UInt64) {
    guard pageCount > threshold else { return }
    let range = PageRange(start: GPN(rawValue: start), pageCount: pageCount)
    if heap.count < limit {
      heap.append(range)
      siftUp()
      if heap.count == limit { threshold = heap[0].pageCount }
    } else {
      siftDown(range)
      threshold = heap[0].pageCount
    }
  }

  /// Largest first, equal ones by address.
  func sorted() -> [PageRange] {
    heap.sorted { Self.isWorse($1, $0) }
  }

  private static func isWorse(_ left: PageRange, _ right: PageRange) -> Bool {
    left.pageCount != right.pageCount
      ? left.pageCount < right.pageCount : left.start > right.start
  }

  private mutating func siftUp() {
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard Self.isWorse(heap[child], heap[parent]) else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  /// Replaces the root and restores the order.
  private mutating func siftDown(_ range: PageRange) {
    var parent = 0
    while true {
      var child = parent * 2 + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, Self.isWorse(heap[child + 1], heap[child]) { child += 1 }
      guard Self.isWorse(heap[child], range) else { break }
      heap[parent] = heap[child]
      parent = child
    }
    heap[parent] = range
  }
}
