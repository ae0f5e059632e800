internal import MachineSpecification

/// What `vmm-run evidence` prints: the files of each run, and the runs side by side.
struct EvidenceReport {
  /// After the machine began.
  private static let seconds: [Double] = [10, 30, 60, 120, 300, 600]

  private let runs: [EvidenceRun]
  private let hasScreens: Bool

  init(_ runs: [EvidenceRun], hasScreens: Bool) {
    self.runs = runs
    self.hasScreens = hasScreens
  }

  var text: String {
    runs.map(files).joined(separator: "\n") + "\n" + comparison
  }

  private func files(of run: EvidenceRun) -> String {
    var table = TextTable([.left, .right, .left])
    let files = run.files(hasScreens: hasScreens)
    let screens = files.filter { EvidenceFile.isScreen($0.name) }
    for file in files where !EvidenceFile.isScreen(file.name) {
      table.add(file.name, ByteCount(file.byteCount).description, file.summary)
    }
    if let first = screens.first {
      let byteCount = screens.reduce(0) { $0 + $1.byteCount }
      table.add(
        screens.count == 1 ? first.name : "\(first.name) and \(screens.count - 1) more",
        ByteCount(byteCount).description,
        "\(first.summary), which may be personal: look at each")
    }
    let outcome = run.outcome.map { "ended: \($0)" } ?? "has not ended, or was killed"
    return "\(run.name), Hyper-V features \(run.features), \(outcome)\n\(table.text())"
  }

  /// A column for each run.
  private var comparison: String {
    var rows: [[String]] = [[""] + runs.map(\.name)]
    func add(_ name: String, _ value: (EvidenceRun) -> String?) {
      let values = runs.map(value)
      guard values.contains(where: { $0 != nil }) else { return }
      rows.append([name] + values.map { $0 ?? "-" })
    }
    add("hypercalls seen") { DecimalText.grouped(UInt64($0.hypercallCount)) }
    add("answers to 0x8002") { DecimalText.grouped(UInt64($0.answers.count)) }
    add("first of them after") { $0.answers.first.map { DecimalText.seconds($0.time) } }
    add("reported as zero, at most") { run in
      run.answers.map(\.byteCount).max().map { ByteCount($0).description }
    }
    for seconds in Self.seconds {
      let time = DecimalText.seconds(seconds)
      add("resident after \(time)") {
        $0.sample(afterSeconds: seconds)?.resident.map { ByteCount($0).description }
      }
      add("vCPU time after \(time)") {
        $0.sample(afterSeconds: seconds).map { Self.processorTime($0.ticks) }
      }
    }
    add("resident at the end") { $0.last?.resident.map { ByteCount($0).description } }
    add("vCPU time at the end") { $0.ticks.map(Self.processorTime) }
    var table = TextTable([.left] + runs.map { _ in .right })
    for row in rows { table.add(row) }
    return table.text()
  }

  private static func processorTime(_ ticks: UInt64) -> String {
    DecimalText.seconds(Double(ticks) / Double(ThreadTicks.perSecond))
  }
}
