import Glibc
import ZeroTracker

/// Runs the benchmarks named on the command line. Asserts no time.
@main
struct Measure {
  static func main() {
    do {
      let options = try BenchmarkOptions(CommandLine.arguments.dropFirst())
      for benchmark in options.benchmarks { try run(benchmark, options) }
    } catch {
      let text = Array("measure: \(error)\n".utf8)
      unsafe write(2, text, text.count)
      exit(error is UsageError ? 2 : 1)
    }
  }

  private static func run(_ benchmark: Benchmark, _ options: BenchmarkOptions) throws {
    switch benchmark {
    case .exits:
      try ExitsBenchmark(
        rounds: options.repetitions ?? 61, exitsPerRound: options.exits, only: options.only,
        hasFloor: options.hasFloor
      ).run()
    case .deviceWrites:
      try DeviceWritesBenchmark(rounds: options.repetitions ?? 31).run()
    case .call:
      try CallBenchmark(repetitions: options.repetitions ?? 9).run()
    case .answer:
      try AnswerBenchmark(repetitions: options.repetitions ?? 31, only: options.only).run()
    case .look:
      try LookBenchmark(repetitions: options.repetitions ?? 11).run()
    case .steps:
      try StepsBenchmark(
        repetitions: options.repetitions ?? 9, byteCounts: options.stepsGiB.map { $0 << 30 }
      ).run()
    case .writes:
      try WritesBenchmark(
        repetitions: options.repetitions ?? 7, byteCount: options.memoryMiB << 20
      ).run()
    }
  }
}
