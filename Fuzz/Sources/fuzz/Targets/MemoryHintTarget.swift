internal import GuestMemory
internal import HyperVCore
internal import Synchronization
internal import ZeroTracker

/// Heat hints (0x8003) over memory that is partly written and partly claimed, against the call
/// written down once more in raw bits: what is hinted away is zero, everything else stays, and
/// nothing is reported that is not zero.
final class MemoryHintTarget: FuzzTarget {
  static let name = "memory-hint"
  static let maximumInputByteCount = 512

  private static let pageCount: UInt64 = 256
  private static let inputPage: UInt64 = 255

  private let memory: GuestMemory
  private let dispatcher: HypercallDispatcher

  init() throws {
    let memory = try GuestMemory(
      layout: GuestMemoryLayout(ramByteCount: Self.pageCount * 4096),
      granularity: TrackingGranularity(byteCount: 4096))
    memory.tracker.attach(source: NothingWritten())
    _ = try memory.claim(at: GPA(7 << 12), byteCount: 3 << 12, owner: "a neighbour")
    self.memory = memory
    dispatcher = HypercallDispatcher(calls: [
      MemoryHeatHint([.cold, .hot, .coldDiscard], pageBudget: 64) { heat, pages in
        let pages = PageRange(
          start: GPN(rawValue: pages.lowerBound), pageCount: UInt64(pages.count))
        let byteCount =
          switch heat {
          case .coldDiscard: memory.giveBack(pages)
          case .cold: memory.cool(pages)
          case .hot: memory.warm(pages, limit: 1 << 16)
          }
        return Int(byteCount >> 12)
      }
    ])
  }

  func run(_ input: FuzzInput) {
    for page in 0..<Self.pageCount { store(page + 1, page) }
    let header = input.byte < 0xF0 ? UInt64(input.byte % 4) : input.anyMagnitude
    var ranges: [UInt64] = []
    let start = Int(input.byte % 4)
    let count = max(Int(input.byte % 16), 1)
    while ranges.count < count { ranges.append(Self.range(input)) }
    for (index, word) in ([header] + ranges).enumerated() {
      try! memory.store(word, at: GPA(Self.inputPage << 12 + UInt64(index * 8)))
    }

    let outcome = dispatcher.dispatch(
      HypercallRequest(
        input: HypercallInput(
          callCode: .extendedMemoryHeatHint, repCount: count, repStartIndex: start),
        inputAddress: GuestAddress(rawValue: Self.inputPage << 12),
        outputAddress: GuestAddress(rawValue: 0)), memory: HintMemory(guest: memory))

    let expected = Self.expectation(header, ranges, from: start)
    require(outcome.result.rawValue == expected.result, "\(outcome.result)")
    for page in 0..<Self.pageCount where page != Self.inputPage {
      let word = try! memory.load(at: GPA(page << 12), as: UInt64.self)
      require(word == (expected.gone.contains(page) ? 0 : page + 1), "page \(page): \(word)")
    }
    for range in memory.tracker.zeroedRanges(replyPage: nil) {
      for page in range.pageNumbers {
        require(expected.gone.contains(page), "page \(page) is reported")
      }
    }
  }

  private func store(_ word: UInt64, _ page: UInt64) {
    try! memory.store(word, at: GPA(page << 12))
  }

  /// Few pages of this memory, or anything.
  private static func range(_ input: FuzzInput) -> UInt64 {
    switch input.byte % 4 {
    case 0, 1: UInt64(input.byte) << 12 | UInt64(input.byte % 32)
    case 2: UInt64(input.byte % 2) << 21 | 0x800 | UInt64(input.byte & 0x11) << 8
    default: input.anyMagnitude
    }
  }

  /// The result, and the pages that are zero after it.
  private static func expectation(
    _ header: UInt64, _ ranges: [UInt64], from start: Int
  ) -> (result: UInt64, gone: Set<UInt64>) {
    guard start < ranges.count else { return (3, []) }
    guard header <= 2 else { return (5 | UInt64(start) << 32, []) }
    var gone: Set<UInt64> = []
    var cost: UInt64 = 0
    var done = start
    while done < ranges.count, done == start || cost < 64 {
      let word = ranges[done]
      let isLarge = word & 0x800 != 0
      if isLarge, word & 0x1F_E000 != 0 { return (5 | UInt64(done) << 32, gone) }
      if !isLarge || word & 0x1000 == 0 {
        let unit: UInt64 = isLarge ? 512 : 1
        let first = isLarge ? word >> 21 * 512 : word >> 12
        let end = first + (word & 0x7FF + 1) * unit
        if end > 1 << 52 { return (5 | UInt64(done) << 32, gone) }
        let pages = (first..<end).clamped(to: 0..<pageCount).filter { !(7..<10).contains($0) }
        // A hot hint stops at 16 pages.
        cost += header == 1 ? min(UInt64(pages.count), 16) : UInt64(pages.count)
        if header == 2 { gone.formUnion(pages) }
      }
      done += 1
    }
    return (UInt64(done) << 32, gone)
  }
}

/// Guest memory as the dispatcher sees it.
private struct HintMemory: HypercallMemory {
  let guest: GuestMemory

  func isWritable(_ address: GuestAddress, byteCount: Int) -> Bool { false }
  func write(_ bytes: RawSpan, at address: GuestAddress) -> Bool { false }

  func read(into bytes: inout MutableRawSpan, at address: GuestAddress) -> Bool {
    (try? guest.read(at: GPA(address.rawValue), into: &bytes)) != nil
  }
}

/// A guest that writes nothing itself.
final class NothingWritten: WrittenPageSource {
  func readWrittenPages(of region: PageRange, into words: inout MutableSpan<UInt64>) {}
  func forget(_ range: PageRange) -> Bool { true }
}
