/// Times of one thing, measured many times.
struct Samples {
  private var seconds: [Double] = []

  var count: Int { seconds.count }

  var best: Double { seconds.min() ?? .nan }

  var median: Double {
    seconds.isEmpty ? .nan : seconds.sorted()[seconds.count / 2]
  }

  var total: Double { seconds.reduce(0, +) }

  mutating func add(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    self.seconds.append(Double(seconds) + Double(attoseconds) * 1e-18)
  }

  mutating func add(contentsOf other: Samples) {
    seconds += other.seconds
  }

  /// Runs `body` and adds the time it took.
  mutating func measure<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    let clock = ContinuousClock()
    let start = clock.now
    let result = try body()
    add(start.duration(to: clock.now))
    return result
  }
}
