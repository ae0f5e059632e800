internal import Synchronization
internal import ZeroTracker

/// A dirty log that a harness writes, and that fails or does not forget when it is told to.
final class FuzzLog: WrittenPageSource {
  struct Failure: Error {}

  private struct State {
    /// Bit per page, by region.
    var written: [[UInt64]]
    var canForget = true
    var failsReading = false
  }

  private let regions: [PageRange]
  private let state: Mutex<State>

  init(_ regions: [PageRange]) {
    self.regions = regions
    state = Mutex(
      State(
        written: regions.map { Array(repeating: 0, count: Int($0.pageCount + 63) / 64) }))
  }

  var canForget: Bool {
    get { state.withLock { $0.canForget } }
    set { state.withLock { $0.canForget = newValue } }
  }

  var failsReading: Bool {
    get { state.withLock { $0.failsReading } }
    set { state.withLock { $0.failsReading = newValue } }
  }

  func insert(_ page: UInt64, region: Int) {
    let bit = page - regions[region].start.rawValue
    state.withLock { $0.written[region][Int(bit / 64)] |= 1 << (bit % 64) }
  }

  func readWrittenPages(of region: PageRange, into words: inout MutableSpan<UInt64>) throws {
    let written = try state.withLock { state in
      if state.failsReading { throw Failure() }
      return state.written[index(region)]
    }
    for index in words.indices { words[index] |= written[index] }
  }

  func stop() throws {}

  func forget(_ range: PageRange) -> Bool {
    state.withLock { state in
      guard state.canForget else { return false }
      for (index, region) in regions.enumerated() {
        let pages = region.intersection(range)
        guard !pages.isEmpty else { continue }
        for page in pages.start.rawValue..<pages.end.rawValue {
          let bit = page - region.start.rawValue
          state.written[index][Int(bit / 64)] &= ~(1 << (bit % 64))
        }
      }
      return true
    }
  }

  private func index(_ region: PageRange) -> Int {
    guard let index = regions.firstIndex(of: region) else { fatalError("region \(region)") }
    return index
  }
}
