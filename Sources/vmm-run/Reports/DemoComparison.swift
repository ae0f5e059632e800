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
