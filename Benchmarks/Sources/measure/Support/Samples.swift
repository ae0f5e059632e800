/// Measurements of one thing: seconds, until they are scaled.
struct Samples {
  private var values: [Double] = []

  var count: Int { values.count }

  var best: Double { values.min() ?? .nan }

  var median: Double { quantile(0.5) }

  /// How far apart the middle half of them lies, as a part of the median.
  var spread: Double { (quantile(0.75) - quantile(0.25)) / median }

  var total: Double { values.reduce(0, +) }

  mutating func add(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    values.append(Double(seconds) + Double(attoseconds) * 1e-18)
  }

  mutating func add(nanoseconds: Int64) {
    values.append(Double(nanoseconds) * 1e-9)
  }

  mutating func add(contentsOf other: Samples) {
    values += other.values
  }

  /// The same in another unit.
  func scaled(by factor: Double) -> Samples {
    var scaled = Samples()
    scaled.values = values.map { $0 * factor }
    return scaled
  }

  /// Seconds for `count` things as nanoseconds for each.
  func nanoseconds(per count: Int) -> Samples {
    scaled(by: 1e9 / Double(count))
  }

  /// Runs `body` and adds the time it took.
  mutating func measure<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    let clock = ContinuousClock()
    let start = clock.now
    let result = try body()
    add(start.duration(to: clock.now))
    return result
  }

  private func quantile(_ part: Double) -> Double {
    guard !values.isEmpty else { return .nan }
    let sorted = values.sorted()
    return sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))]
  }
}
