/// Which pages a guest wrote before it asked.
enum WrittenPattern: CaseIterable {
  case nothing
  case scattered
  case runs
  case half
  case alternating

  var name: String {
    switch self {
    case .nothing: "nothing written"
    case .scattered: "200 pages, as firmware"
    case .runs: "8,356 runs"
    case .half: "half, at random (hostile)"
    case .alternating: "every second (hostile)"
    }
  }

  /// Whether a guest that only boots may leave it.
  var isNormal: Bool {
    switch self {
    case .nothing, .scattered, .runs: true
    case .half, .alternating: false
    }
  }

  /// Bit per page; the same in every run.
  func words(pageCount: Int) -> [UInt64] {
    precondition(pageCount % 64 == 0, "\(pageCount) pages")
    var generator = Generator(seed: 0x8002)
    var words = [UInt64](repeating: 0, count: pageCount / 64)
    switch self {
    case .nothing: break
    case .scattered:
      for _ in 0..<200 { Self.set(Int.random(in: 0..<pageCount, using: &generator), in: &words) }
    case .runs:
      // So many zeroed runs of every length up to twice the mean, each ended by 1 to 64 pages.
      let mean = pageCount / 8356
      var page = 0
      while page < pageCount {
        page += Int.random(in: 1..<(2 * mean - 64), using: &generator)
        let end = min(page + Int.random(in: 1...64, using: &generator), pageCount)
        while page < end {
          Self.set(page, in: &words)
          page += 1
        }
      }
    case .half:
      for index in words.indices { words[index] = generator.next() }
    case .alternating:
      for index in words.indices { words[index] = 0x5555_5555_5555_5555 }
    }
    return words
  }

  private static func set(_ page: Int, in words: inout [UInt64]) {
    words[page / 64] |= 1 << UInt64(page % 64)
  }
}
