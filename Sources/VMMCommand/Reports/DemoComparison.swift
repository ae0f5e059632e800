internal import MachineSpecification

/// The demo guest run twice: with an answer about zero memory, and without.
struct DemoComparison: Codable, Equatable, Sendable {
  var hyperv: String
  var memoryBytes: UInt64
  var with: DemoReport
  var without: DemoReport

  /// Both ran on the same machine; what they share is taken from `with`.
  init(with: DemoReport, without: DemoReport) {
    hyperv = with.hyperv
    memoryBytes = with.memoryBytes
    self.with = with
    self.without = without
  }

  var isTruthful: Bool { with.isTruthful && without.isTruthful }
}

extension DemoComparison {
  /// Both runs side by side, what the difference is, and the verdict.
  var text: String {
    "\(with.machineText),\nrun with and without boot-zeroed memory\n\n\(table.text())\n\(verdict)\n"
  }

  private var table: TextTable {
    var table = TextTable([.left, .right, .right, .left])
    table.add("", "with", "without", "with, compared")
    table.addRule()
    func addBytes(_ name: String, _ value: (DemoReport) -> UInt64) {
      table.add(
        name, ByteCount(value(with)).description, ByteCount(value(without)).description,
        Self.difference(Double(value(with)), Double(value(without))))
    }
    func addSeconds(_ name: String, _ value: (DemoReport) -> Double) {
      table.add(
        name, DecimalText.seconds(value(with)), DecimalText.seconds(value(without)),
        Self.difference(value(with), value(without)))
    }
    table.add(
      "reported as zero", ByteCount(with.reportedBytes).description,
      without.reportedBytes == 0 ? "nothing" : ByteCount(without.reportedBytes).description,
      DecimalText.percent(with.reportedBytes, of: memoryBytes) + " of memory")
    addBytes("zeroed by the guest", \.guestZeroedBytes)
    addBytes("resident on the host", \.residentBytes)
    addSeconds("vCPU time", \.vcpuSeconds)
    addSeconds("elapsed", \.elapsedSeconds)
    return table
  }

  var verdict: String {
    // Only a broken run reports anything without the feature; its failure must not hide.
    without.isTruthful ? with.verdict : without.verdict
  }

  /// `83x less`: the factor between the two, from the side of the guest with the answer.
  static func difference(_ with: Double, _ without: Double) -> String {
    if with == without { return "the same" }
    if with == 0 { return "none left" }
    if without == 0 { return "more" }
    let factor = max(with / without, without / with)
    let text = DecimalText.fixed(factor, decimals: factor < 10 ? 1 : 0)
    if text == "1.0" { return "about the same" }
    return "\(text)x \(with < without ? "less" : "more")"
  }
}
