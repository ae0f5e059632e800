import Glibc

/// The figures of one subject: a table on standard output, and lines of JSON for whoever collects
/// them.
struct Section {
  private let name: String
  private var figures: [Figure] = []

  /// - Parameter name: as in the document that explains it.
  init(_ name: String) {
    self.name = name
  }

  mutating func add(_ figure: Figure) {
    figures.append(figure)
  }

  /// Prints the table, and appends the figures to the file that BENCH_FIGURES names.
  func finish() throws(BenchmarkError) {
    var table = Table([
      name, "unit", "median", "best", "spread", "floor", "median", "best", "ratio (of bests)",
      "goal",
    ])
    for figure in figures {
      var row = [
        figure.name, figure.unit, figure.samples.median.threeDigits,
        figure.samples.best.threeDigits, percent(figure.samples.spread),
      ]
      if let floor = figure.floor, let ratio = figure.ratio, let bests = figure.ratioOfBests {
        row += [
          floor.name, floor.samples.median.threeDigits, floor.samples.best.threeDigits,
          "\(ratio.fixed(2)) (\(bests.fixed(2)))",
        ]
      } else {
        row += ["", "", "", ""]
      }
      let goal = figure.goal.map { $0.fixed(2) }
      let limit = figure.limit.map { "\($0.threeDigits) \(figure.unit)" }
      table.add(row + [goal ?? limit ?? ""])
    }
    table.print()
    try append()
  }

  private func percent(_ spread: Double) -> String {
    "\((spread * 100).fixed(0)) %"
  }

  private func append() throws(BenchmarkError) {
    guard let path = unsafe getenv("BENCH_FIGURES") else { return }
    guard let file = unsafe fopen(path, "a") else {
      throw BenchmarkError("cannot write the file that BENCH_FIGURES names: errno \(errno)")
    }
    defer { unsafe fclose(file) }
    for figure in figures { unsafe fputs(figure.json(section: name) + "\n", file) }
  }
}
