import ZeroTracker

/// Answers to 0x8002 from bitmaps alone: `ZeroTracker.zeroedRanges` against plain C.
///
/// Cases: 64 GiB and 1 TiB; touched map of 64 KiB chunks and of 4 KiB; five patterns of written
/// pages. Each measured twice: the scan finds the ranges in bitmaps that are there, "with OR" takes
/// the bitmap of the source over first. C and Swift take turns. A range that differs ends the
/// benchmark.
struct AnswerBenchmark {
  let repetitions: Int
  /// What a section's title must contain; nil for all.
  let only: String?

  /// A slow case is repeated less often, but at least three times.
  private static let secondsPerCase = 3.0

  func run() throws {
    print("## answer: `ZeroTracker.zeroedRanges` against plain C (-O2)\n")
    print(
      "\(Host.description)\nup to \(repetitions) repetitions\n")
    for byteCount in [64 << 30, 1 << 40] {
      for chunk in [64 << 10, 4 << 10] as [UInt64] {
        try compare(byteCount: byteCount, granularity: TrackingGranularity(byteCount: chunk))
      }
    }
  }

  private func compare(byteCount: Int, granularity: TrackingGranularity) throws {
    let title = "NOR and top 255, \(binaryUnits(byteCount)), touched map of \(granularity) chunks"
    guard only.map({ title.contains($0) }) ?? true else { return }
    var section = Section(title)
    for pattern in WrittenPattern.allCases {
      let pageCount = byteCount / GPN.byteCount
      for figure in try figures(pattern, pageCount: pageCount, granularity: granularity) {
        section.add(figure)
      }
    }
    try section.finish()
  }

  private func figures(
    _ pattern: WrittenPattern, pageCount: Int, granularity: TrackingGranularity
  ) throws -> [Figure] {
    let words = pattern.words(pageCount: pageCount)
    let touched = Self.touchedRanges(pageCount: pageCount)
    let region = PageRange(start: GPN(rawValue: 0), pageCount: UInt64(pageCount))
    let tracker = try ZeroTracker(regions: [region], granularity: granularity)
    for range in touched { tracker.markTouched(range) }
    let source = GivenPages(words)
    tracker.attach(source: source)
    var reference = ReferenceBitmaps(written: words, touched: touched, granularity: granularity)

    var scan = (c: Samples(), swift: Samples())
    var whole = (c: Samples(), swift: Samples())
    var ranges: [PageRange] = []
    var count = 0
    for repetition in 0..<max(repetitions, 3) {
      let spent = scan.c.total + scan.swift.total + whole.c.total + whole.swift.total
      if repetition >= 3 && spent > Self.secondsPerCase { break }
      source.isIdle = false
      ranges = whole.swift.measure { tracker.zeroedRanges(replyPage: nil) }
      count = whole.c.measure { reference.orAndScan() }
      try expect(ranges, reference.ranges(count), pattern)
      source.isIdle = true
      ranges = scan.swift.measure { tracker.zeroedRanges(replyPage: nil) }
      count = scan.c.measure { reference.scan() }
      try expect(ranges, reference.ranges(count), pattern)
    }
    return [(pattern.name, scan), ("\(pattern.name), with OR", whole)].map { name, pair in
      Figure(
        name: name, unit: "ms", samples: pair.swift.scaled(by: 1e3),
        floor: ("plain C", pair.c.scaled(by: 1e3)), goal: 1.1)
    }
  }

  /// What loading leaves: 8 MiB at the bottom, and buffers of devices in 64 places.
  private static func touchedRanges(pageCount: Int) -> [PageRange] {
    var generator = Generator(seed: 1)
    let buffers = (0..<64).map { _ in
      let start = UInt64.random(in: 0..<UInt64(pageCount - 4), using: &generator)
      return PageRange(start: GPN(rawValue: start), pageCount: 4)
    }
    return [PageRange(start: GPN(rawValue: 0), pageCount: 2048)] + buffers
  }

  private func expect(
    _ swift: [PageRange], _ c: [PageRange], _ pattern: WrittenPattern
  ) throws(BenchmarkError) {
    guard swift != c else { return }
    let index =
      zip(swift, c).enumerated().first { $1.0 != $1.1 }?.offset ?? min(swift.count, c.count)
    throw BenchmarkError(
      "\(pattern.name): \(swift.count) ranges, plain C \(c.count); the first that differs is \(index)"
    )
  }
}
