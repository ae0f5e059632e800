import HostSystem
import Synchronization
import Testing
import ZeroTracker

@Suite struct LifecycleTests {
  @Test func withoutASourceNothingIsReported() throws {
    let tracker = try ZeroTracker(regions: [pages(0, 100)])
    #expect(!tracker.isTracking)
    #expect(tracker.zeroedRanges(replyPage: nil).isEmpty)
    #expect(tracker.snapshot().total.zeroed == 0)
  }

  @Test func aFailingSourceReportsNothingUntilItAnswers() throws {
    let (tracker, log) = try makeTracker([pages(0, 100)])
    log.state.withLock { $0.failsReading = true }
    #expect(tracker.zeroedRanges(replyPage: nil).isEmpty)
    #expect(!tracker.snapshot().isComplete)
    #expect(tracker.isTracking)
    log.state.withLock { $0.failsReading = false }
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(0, 100)])
  }

  @Test func stopEndsReportingOnceAndForAll() throws {
    let (tracker, log) = try makeTracker([pages(0, 100)])
    #expect(tracker.isTracking)
    try tracker.stop()
    try tracker.stop()
    #expect(!tracker.isTracking)
    #expect(log.state.withLock { $0.stopCount } == 1)
    tracker.markTouched(pages(0, 5))
    tracker.claim(pages(5, 5))
    tracker.markZeroed(pages(0, 100))
    #expect(tracker.zeroedRanges(replyPage: GPN(rawValue: 3)).isEmpty)
    let snapshot = tracker.snapshot()
    #expect(!snapshot.isComplete)
    #expect(snapshot.total.memory == 100)
    #expect(log.state.withLock { $0.readCount } == 0)
  }

  @Test func aFailedStopStopsAndIsTriedAgain() throws {
    let (tracker, log) = try makeTracker([pages(0, 100)])
    log.state.withLock { $0.failsStopping = true }
    #expect(throws: FakeDirtyLog.Failure()) { try tracker.stop() }
    #expect(!tracker.isTracking)
    #expect(tracker.zeroedRanges(replyPage: nil).isEmpty)
    log.state.withLock { $0.failsStopping = false }
    try tracker.stop()
    try tracker.stop()
    #expect(log.state.withLock { $0.stopCount } == 2)
  }

  @Test func stopWithoutASource() throws {
    try ZeroTracker(regions: [pages(0, 100)]).stop()
  }

  @Test func aSecondSourceTraps() async {
    await #expect(processExitsWith: .failure) {
      let tracker = try ZeroTracker(regions: [pages(0, 1)])
      tracker.attach(source: FakeDirtyLog())
      tracker.attach(source: FakeDirtyLog())
    }
  }

  @Test func discardedMemoryIsReportedAgain() throws {
    let (tracker, log) = try makeTracker([pages(0, 128)], 65536)
    tracker.markTouched(pages(0, 64))
    log.guestWrites(pages(32, 64))
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(96, 32)])
    // Pages 60…63 are in a chunk that is not wholly discarded.
    tracker.markZeroed(pages(0, 60))
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(0, 48), pages(96, 32)])
    tracker.markZeroed(pages(0, 128))
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(0, 128)])
  }

  @Test func whatTheSourceCannotForgetStaysWithheld() throws {
    let (tracker, log) = try makeTracker([pages(0, 128)])
    log.state.withLock { $0.canForget = false }
    log.guestWrites(pages(0, 10))
    tracker.markTouched(pages(5, 15))
    tracker.markZeroed(pages(0, 128))
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(10, 118)])
  }

  @Test func theLastChunkMayBeShort() throws {
    let (tracker, _) = try makeTracker([pages(0, 100)], 65536)
    tracker.markTouched(pages(99, 1))
    tracker.markZeroed(pages(96, 4))
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(0, 100)])
  }

  @Test func guestWritesAroundADiscardStayKnown() throws {
    let (tracker, log) = try makeTracker([pages(0, 128)])
    log.guestWrites(pages(0, 10))
    tracker.markZeroed(pages(0, 64)) {
      // After the source forgot; whether the bytes survive the discard is open.
      log.guestWrites(pages(3, 1))
    }
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(4, 124), pages(0, 3)])
  }

  @Test func aFailedDiscardWithholdsTheRange() throws {
    let (tracker, log) = try makeTracker([pages(0, 128)], 65536)
    log.guestWrites(pages(0, 10))
    #expect(throws: FakeDirtyLog.Failure()) {
      try tracker.markZeroed(pages(2, 62)) { () throws(FakeDirtyLog.Failure) in
        throw FakeDirtyLog.Failure()
      }
    }
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(64, 64)])
  }

  @Test func claimedMemoryNeverComesBack() throws {
    let (tracker, log) = try makeTracker([pages(0, 128)], 65536)
    tracker.claim(pages(20, 1))
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(32, 96), pages(0, 16)])
    tracker.markTouched(pages(0, 128))
    log.guestWrites(pages(0, 128))
    tracker.markZeroed(pages(0, 128))
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(32, 96), pages(0, 16)])
  }

  /// What a guest may give away: RAM outside of claimed chunks, in runs.
  @Test func unclaimedRuns() throws {
    let (tracker, _) = try makeTracker([pages(0, 100), pages(1000, 300)], 65536)
    #expect(tracker.unclaimed(pages(90, 1000)) == [pages(90, 10), pages(1000, 90)])
    tracker.claim(pages(20, 1))
    tracker.claim(pages(97, 1))
    tracker.claim(pages(1200, 40))
    for (asked, runs) in [
      (pages(5, 20), [pages(5, 11)]), (pages(20, 5), []), (pages(16, 17), [pages(32, 1)]),
      (pages(31, 1), []), (pages(5, 3), [pages(5, 3)]), (pages(90, 50), [pages(90, 6)]),
      (pages(98, 1000), [pages(1000, 98)]), (pages(99, 1), []),
      (pages(1100, 500), [pages(1100, 92), pages(1240, 60)]), (pages(400, 100), []),
      (pages(0, 0), []), (PageRange(start: GPN(rawValue: .max - 5), pageCount: 5), []),
    ] as [(PageRange, [PageRange])] {
      #expect(tracker.unclaimed(asked) == runs, "\(asked)")
    }
    let (fine, _) = try makeTracker([pages(0, 1000)], 4096)
    fine.claim(pages(700, 1))
    fine.claim(pages(64, 64))
    #expect(
      fine.unclaimed(pages(3, 800)) == [pages(3, 61), pages(128, 572), pages(701, 102)])
  }

  @Test func aSnapshotCountsEveryPage() throws {
    let (tracker, log) = try makeTracker([pages(0, 100), pages(1000, 100)], 65536)
    tracker.markTouched(pages(10, 10))
    log.guestWrites(pages(30, 4))
    _ = tracker.zeroedRanges(replyPage: nil, limit: 1)
    let snapshot = tracker.snapshot()
    #expect(snapshot.isComplete)
    #expect(snapshot.regions == [pages(0, 100), pages(1000, 100)])
    #expect(snapshot.lastReported == [pages(1000, 100)])
    let total = snapshot.total
    #expect(total.memory == 200)
    #expect(total.touched == 32)
    #expect(total.written == 4)
    #expect(total.zeroed == 200 - 34)
    #expect(total.reported == 100)
    let part = snapshot.counts(in: pages(31, 1000))
    #expect(part.memory == 69 + 31)
    #expect(part.touched == 1)
    #expect(part.written == 3)
    #expect(part.zeroed == 66 + 31)
    #expect(part.reported == 31)
    // A snapshot is a value.
    tracker.markTouched(pages(0, 100))
    #expect(snapshot.total == total)
  }
}
