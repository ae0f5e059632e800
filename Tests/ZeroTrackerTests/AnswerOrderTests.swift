import Foundation
import HostSystem
import Synchronization
import Testing
import ZeroTracker

/// What an answer reads before what, and what it never runs beside: one thread after the other, so
/// that nothing is left to chance.
@Suite struct AnswerOrderTests {
  /// The map is read last.
  @Test func marksMadeWhileTheSourceIsReadCount() throws {
    let tracker = try ZeroTracker(
      regions: [pages(0, 100)], granularity: granularity(4096))
    tracker.attach(source: BusySource { [unowned tracker] in tracker.markTouched(pages(7, 1)) })
    #expect(tracker.zeroedRanges(replyPage: nil) == [pages(8, 92), pages(0, 7)])
  }

  /// Between the forgetting and the discard a page has bytes that nobody knows of.
  @Test func noAnswerIsMadeDuringADiscard() throws {
    let (tracker, log) = try makeTracker([pages(0, 100)])
    log.guestWrites(pages(0, 100))
    let hasAsked = Atomic(false)
    let isDiscarded = Atomic(false)
    let answer = Guarded<(ranges: [PageRange], wasDiscarded: Bool)?>(nil)
    let answered = DispatchSemaphore(value: 0)
    tracker.markZeroed(pages(0, 100)) {
      Thread.detachNewThread {
        hasAsked.store(true, ordering: .releasing)
        let ranges = tracker.zeroedRanges(replyPage: nil)
        answer.withLock { $0 = (ranges, isDiscarded.load(ordering: .acquiring)) }
        answered.signal()
      }
      while !hasAsked.load(ordering: .acquiring) { _ = usleep(100) }
      // Time for an answer that does not wait. One that waits is right however long this takes.
      _ = answered.wait(timeout: .now() + .milliseconds(100))
      isDiscarded.store(true, ordering: .releasing)
    }
    if answer.withLock({ $0 == nil }) { answered.wait() }
    let (ranges, wasDiscarded) = try #require(answer.withLock { $0 })
    #expect(wasDiscarded)
    #expect(ranges == [pages(0, 100)])
  }
}

/// A source that knows of no writes; something happens while it is read.
private final class BusySource: WrittenPageSource {
  private let whileReading: @Sendable () -> Void

  init(whileReading: @escaping @Sendable () -> Void) {
    self.whileReading = whileReading
  }

  func readWrittenPages(of region: PageRange, into words: inout MutableSpan<UInt64>) throws {
    whileReading()
  }

  func stop() throws {}

  func forget(_ range: PageRange) -> Bool { true }
}
