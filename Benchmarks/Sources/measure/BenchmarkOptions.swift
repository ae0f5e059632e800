enum Benchmark: String, CaseIterable {
  case exits
  case deviceWrites = "device-writes"
  case call
  case answer
  case look
  case steps
  case writes
}

/// The command line is wrong; says how it should be.
struct UsageError: Error, CustomStringConvertible {
  let description: String
}

/// What is to be run, and how large.
struct BenchmarkOptions {
  private(set) var benchmarks: [Benchmark] = []
  /// Nil: each benchmark's own number.
  private(set) var repetitions: Int?
  private(set) var stepsGiB = [64, 1024]
  private(set) var memoryMiB = 512
  /// In one round.
  private(set) var exits = 500
  /// What the name of a case of exits, or the title of a section of answers, must contain; nil for
  /// all.
  private(set) var only: String?
  /// Whether plain C is measured too; without it a profiler sees the VMM alone.
  private(set) var hasFloor = true

  private static let usage = """
    usage: measure exits|device-writes|call|answer|look|steps|writes... [--repetitions N] [--sparse GiB] [--memory MiB] \
    [--exits N] [--only TEXT] [--no-floor]
    """

  init(_ arguments: some Sequence<String>) throws(UsageError) {
    var iterator = arguments.makeIterator()
    while let argument = iterator.next() {
      if let benchmark = Benchmark(rawValue: argument) {
        benchmarks.append(benchmark)
        continue
      }
      if argument == "--no-floor" {
        hasFloor = false
        continue
      }
      guard let text = iterator.next() else { throw UsageError(description: Self.usage) }
      if argument == "--only" {
        only = text
        continue
      }
      guard let number = Int(text), (1...16384).contains(number) else {
        throw UsageError(description: Self.usage)
      }
      switch argument {
      case "--repetitions": repetitions = number
      case "--sparse": stepsGiB = [number]
      case "--memory": memoryMiB = number
      case "--exits": exits = number
      default: throw UsageError(description: Self.usage)
      }
    }
    guard !benchmarks.isEmpty else { throw UsageError(description: Self.usage) }
  }
}
