enum Benchmark: String, CaseIterable {
  case answer
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
  private(set) var populatedGiB = 8
  private(set) var sparseGiB = 1024
  private(set) var memoryMiB = 512

  private static let usage = """
    usage: tracking answer|steps|writes... [--repetitions N] [--populated GiB] [--sparse GiB] \
    [--memory MiB]
    """

  init(_ arguments: some Sequence<String>) throws(UsageError) {
    var iterator = arguments.makeIterator()
    while let argument = iterator.next() {
      if let benchmark = Benchmark(rawValue: argument) {
        benchmarks.append(benchmark)
        continue
      }
      guard let text = iterator.next(), let number = Int(text), (1...16384).contains(number) else {
        throw UsageError(description: Self.usage)
      }
      switch argument {
      case "--repetitions": repetitions = number
      case "--populated": populatedGiB = number
      case "--sparse": sparseGiB = number
      case "--memory": memoryMiB = number
      default: throw UsageError(description: Self.usage)
      }
    }
    guard !benchmarks.isEmpty else { throw UsageError(description: Self.usage) }
  }
}
