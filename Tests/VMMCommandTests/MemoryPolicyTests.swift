import Bytes
import TestSupport
import Testing

@testable import Devices
@testable import VMMCommand

/// `--memory-policy auto`: what is decided, without clock and machine.
@Suite struct MemoryPolicyTests {
  private static let mebibyte: UInt64 = 1 << 20

  /// In MiB and per mille.
  private func next(
    _ policy: inout MemoryPolicy, _ size: UInt64, available: UInt64?, pressure: UInt64? = 0
  ) -> UInt64? {
    policy.next(
      MemoryPolicy.Sample(
        size: size << 20, available: available.map { $0 << 20 }, hostPressure: pressure)
    ).map { $0 >> 20 }
  }

  /// Starts with 2 GiB, can have 16.
  private var policy: MemoryPolicy { MemoryPolicy(start: 2 << 30, maximum: 16 << 30) }

  static let steps: [(size: UInt64, available: UInt64?, pressure: UInt64?, next: UInt64?)] = [
    // Short: an eighth more, in whole steps.
    (2048, 204, 0, 2304), (2048, 0, nil, 2304), (1024, 100, 99, 1152), (8192, 100, 0, 9216),
    // The last step ends at the most; there is no more.
    (16300, 100, 0, 16384), (16384, 0, 0, nil),
    // Neither short nor idle.
    (2048, 205, 0, nil), (2048, 512, 1000, nil), (2048, 2048, 0, nil), (2048, 2048, 99, nil),
    // The host is short: nobody gets more, who has a quarter gives.
    (2048, 100, 100, nil), (2048, 513, 100, 1792), (8192, 8000, 1000, 7168),
    // Down to the floor, and not below.
    (1100, 1000, 500, 1024), (1024, 1024, 1000, nil), (900, 900, 1000, nil),
    // A guest that says nothing, and one that has nothing yet.
    (2048, nil, 1000, nil), (0, 0, 0, nil),
  ]

  @Test(arguments: steps)
  func aStep(size: UInt64, available: UInt64?, pressure: UInt64?, expected: UInt64?) {
    var policy = policy
    #expect(next(&policy, size, available: available, pressure: pressure) == expected)
  }

  @Test func afterAStepComesARest() {
    var policy = policy
    #expect(next(&policy, 2048, available: 0) == 2304)
    for _ in 0..<MemoryPolicy.restCount { #expect(next(&policy, 2304, available: 0) == nil) }
    #expect(next(&policy, 2304, available: 0) == 2560)
    var idle = self.policy
    for _ in 0..<20 { #expect(next(&idle, 2048, available: 300) == nil) }
    #expect(next(&idle, 2048, available: 0) == 2304)
  }

  /// Whatever is said, the size stays between floor and ceiling, a step is bounded, and what a step
  /// took is not asked for at once.
  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func bounds(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let start = UInt64.random(in: 1...(8 << 18), using: &random) * 4096
    let maximum = start + UInt64.random(in: 0...64, using: &random) << 27
    var policy = MemoryPolicy(start: start, maximum: maximum)
    #expect(policy.floor <= start && start <= policy.ceiling)
    var size = start
    for _ in 0..<500 {
      let available = UInt64.random(in: 0...size, using: &random)
      let sample = MemoryPolicy.Sample(
        size: size,
        available: Bool.random(using: &random)
          ? available : .random(in: 0 ... .max, using: &random),
        hostPressure: .random(in: 0...1000, using: &random))
      guard let next = policy.next(sample) else { continue }
      #expect(next >= policy.floor && next <= policy.ceiling, "seed \(seed)")
      let step = max(size / 8, MemoryPolicy.leastStep)
      #expect(next > size ? next - size <= step : size - next <= step, "seed \(seed)")
      if next < size, let said = sample.available, said <= size {
        var later = MemoryPolicy(start: start, maximum: maximum)
        let after = MemoryPolicy.Sample(
          size: next, available: said - (size - next), hostPressure: 0)
        #expect(later.next(after) == nil, "seed \(seed)")
      }
      size = next
    }
  }

  @Test(
    arguments: [
      ("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=9.00 total=1\n", 0),
      ("some avg10=12.34 avg60=0.00 avg300=0.00 total=5\n", 123),
      ("some avg10=100.00 avg60=0 total=5", 1000), ("some avg60=1.00 total=5", nil),
      ("full avg10=1.00 total=5", nil), ("", nil), ("some avg10=1 total=5", nil),
      ("some avg10=-1.00 total=5", nil), ("some avg10=1000.00 total=5", nil),
      ("some avg10=.5 total=5", nil), ("some avg10=1. total=5", nil),
    ] as [(String, UInt64?)])
  func pressure(text: String, expected: UInt64?) {
    #expect(HostPressure.perMille(text) == expected)
  }

  @Test func aSampleIsWhatTheGuestHas() {
    var activity = BalloonActivity(targetPageCount: 1 << 15)
    activity.actualPageCount = 1 << 14
    activity.addedPageCount = 1 << 16
    func sample() -> MemoryPolicy.Sample {
      MemoryTuner.sample(activity, start: 1 << 30, 7)
    }
    let size: UInt64 = (1 << 30) + (256 << 20) - (64 << 20)
    #expect(sample() == .init(size: size, available: nil, hostPressure: 7))
    activity.statistics = BalloonStatistics(available: 5 << 20)
    #expect(sample().available == 5 << 20)
    activity.statisticsAgeSeconds = 16
    #expect(sample().available == nil)
    activity.statisticsAgeSeconds = 0
    // virtio's, of an older driver.
    activity.statistics = BalloonStatistics([4, 0] + (UInt64(3) << 20).littleEndianBytes)
    #expect(sample().available == 3 << 20)
  }
}
