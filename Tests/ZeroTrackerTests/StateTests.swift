import HostSystem
import Synchronization
import TestSupport
import Testing
import ZeroTracker

/// A tracker restored from an encoded state answers as the one that was encoded.
@Suite(.onVCPUThread) struct StateTests {
  static let layouts: [[PageRange]] =
    [1, 63, 64, 65, 1000].map { [pages(3, $0)] }
    + [[pages(0, 65), pages(1 << 30, 640)], [pages(7, 64), pages(71, 63)]]

  private func randomRange(
    _ regions: [PageRange], _ random: inout SeededGenerator
  ) -> PageRange {
    let region = regions.randomElement(using: &random)!
    let start = UInt64.random(in: 0..<region.pageCount, using: &random)
    return pages(region.start.rawValue + start, UInt64.random(in: 1...40, using: &random))
  }

  @Test(arguments: layouts, 1...12 as ClosedRange<UInt64>)
  func aRestoredTrackerAnswersTheSame(regions: [PageRange], seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let chunk = allGranularities.randomElement(using: &random)!
    let (tracker, log) = try makeTracker(regions, chunk.byteCount)
    for _ in 0..<Int.random(in: 0...20, using: &random) {
      let range = randomRange(regions, &random)
      switch Int.random(in: 0..<5, using: &random) {
      case 0: tracker.claim(range)
      case 1: tracker.markTouched(range)
      default: log.guestWrites(range)
      }
    }
    let bytes = tracker.encodedState()
    let restored = try ZeroTracker(regions: regions, granularity: chunk)
    try restored.restore(bytes, memory: .exact)
    let source = FakeDirtyLog()
    restored.attach(source: source)
    #expect(restored.isTracking)
    let comment: Comment = "seed \(seed), \(chunk), \(regions)"
    for step in 0..<4 {
      #expect(
        restored.zeroedRanges(replyPage: nil, limit: .max)
          == tracker.zeroedRanges(replyPage: nil, limit: .max), comment)
      #expect(restored.snapshot().total == tracker.snapshot().total, comment)
      #expect(restored.encodedState() == tracker.encodedState(), comment)
      // Later writes of both sides, and at the end a discard: what was claimed stays withheld.
      let range = randomRange(regions, &random)
      switch step {
      case 0:
        log.guestWrites(range)
        source.guestWrites(range)
      case 1:
        tracker.markTouched(range)
        restored.markTouched(range)
      default:
        tracker.markZeroed(range)
        restored.markZeroed(range)
      }
    }
  }

  @Test func aStateIsAddedToWhatIsThere() throws {
    let (tracker, log) = try makeTracker([pages(0, 200)])
    tracker.claim(pages(0, 10))
    log.guestWrites(pages(20, 10))
    let restored = try ZeroTracker(regions: [pages(0, 200)], granularity: granularity(4096))
    restored.claim(pages(50, 1))
    restored.markTouched(pages(100, 1))
    try restored.restore(tracker.encodedState(), memory: .exact)
    restored.attach(source: FakeDirtyLog())
    restored.markZeroed(pages(0, 200))
    #expect(
      restored.zeroedRanges(replyPage: nil) == [pages(51, 149), pages(10, 40)])
  }

  @Test func ofUnknownMemoryNothingIsReported() throws {
    let (tracker, _) = try makeTracker([pages(0, 100)])
    let restored = try ZeroTracker(regions: [pages(0, 100)], granularity: granularity(4096))
    try restored.restore(tracker.encodedState(), memory: .unknown)
    try expectSilence(restored)
    // The bytes do not matter.
    let other = try ZeroTracker(regions: [pages(0, 100)])
    try other.restore([], memory: .unknown)
    try expectSilence(other)
  }

  @Test func whatWasNotTrackedIsNotReported() throws {
    let unattached = try ZeroTracker(regions: [pages(0, 100)])
    let (stopped, _) = try makeTracker([pages(0, 100)], 65536)
    stopped.claim(pages(3, 1))
    try stopped.stop()
    let (failing, log) = try makeTracker([pages(0, 100)], 65536)
    log.state.withLock { $0.failsReading = true }
    for tracker in [unattached, stopped, failing] {
      let restored = try ZeroTracker(regions: [pages(0, 100)])
      try restored.restore(tracker.encodedState(), memory: .exact)
      #expect(restored.snapshot().total.touched == tracker.snapshot().total.touched)
      try expectSilence(restored)
    }
  }

  @Test func aStateComesBeforeTheSource() throws {
    let (tracker, log) = try makeTracker([pages(0, 100)])
    let bytes = tracker.encodedState()
    for memory in [RestoredMemory.exact, .unknown] {
      #expect(throws: TrackerStateError.tooLate) { try tracker.restore(bytes, memory: memory) }
      #expect(!tracker.isTracking)
      #expect(tracker.zeroedRanges(replyPage: nil).isEmpty)
    }
    #expect(log.state.withLock { $0.stopCount } == 1)
  }

  @Test func aSourceAfterAnEndedRestoreIsOnlyStopped() throws {
    let tracker = try ZeroTracker(regions: [pages(0, 100)])
    try tracker.restore([], memory: .unknown)
    let log = FakeDirtyLog()
    tracker.attach(source: log)
    #expect(!tracker.isTracking)
    tracker.markZeroed(pages(0, 100))
    #expect(tracker.zeroedRanges(replyPage: nil).isEmpty)
    try tracker.stop()
    #expect(log.state.withLock { [$0.readCount, $0.stopCount] } == [0, 1])
  }

  @Test func freshMemoryTakesAFewBytes() throws {
    let (tracker, _) = try makeTracker([pages(0, 1 << 20), pages(1 << 21, (1 << 28) - (1 << 20))])
    let count = tracker.encodedState().count
    #expect(count < 128, "\(count) bytes for 1 TiB")
  }

  /// The first version's bytes, so that a later library that still says version 1 reads them.
  @Test func theFormatIsPinned() throws {
    let (tracker, log) = try makeTracker([pages(16, 130)], 65536)
    tracker.markTouched(pages(16, 1))
    tracker.claim(pages(140, 1))
    log.guestWrites(pages(16, 64))
    log.guestWrites(pages(145, 1))
    let expected: [UInt8] =
      Array("HVZEROTR".utf8) + [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
      + [1, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 130, 0, 0, 0, 0, 0, 0, 0]
      // Touched and claimed: one literal word each; written: ones, zeros, a literal.
      + [6, 0x81, 0, 0, 0, 0, 0, 0, 0] + [6, 0x80, 0, 0, 0, 0, 0, 0, 0]
      + [5, 4, 6, 2, 0, 0, 0, 0, 0, 0, 0]
    #expect(tracker.encodedState() == withChecksum(expected))
  }
}

/// Attaches a source that knows of no write, and expects no answer.
func expectSilence(
  _ tracker: ZeroTracker, _ comment: Comment? = nil,
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  tracker.attach(source: FakeDirtyLog())
  #expect(!tracker.isTracking, comment, sourceLocation: sourceLocation)
  tracker.markZeroed(tracker.regions[0])
  let ranges = tracker.zeroedRanges(replyPage: nil, limit: .max)
  #expect(ranges.isEmpty, comment, sourceLocation: sourceLocation)
  #expect(tracker.snapshot().total.zeroed == 0, comment, sourceLocation: sourceLocation)
}

/// Appends FNV-1a, written here once more, to a state's bytes.
func withChecksum(_ bytes: [UInt8]) -> [UInt8] {
  let hash = bytes.reduce(0xCBF2_9CE4_8422_2325 as UInt64) {
    ($0 ^ UInt64($1)) &* 0x100_0000_01B3
  }
  return bytes + (0..<8).map { UInt8(truncatingIfNeeded: hash >> ($0 * 8)) }
}
