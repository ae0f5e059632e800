import Glibc
import HyperVCore
import Synchronization
import VMM

/// Says of each answer whether it names a page that was not zero.
///
/// ## Why what it finds is wrong
/// The epoch is even at rest. The discarder makes it odd before it discards the arena and even
/// again after that; each value comes once. A writer loads the epoch e, writes to page P, and then
/// stores e to `done[P]`: guests in the processor's order, VMM threads by acquiring and releasing.
///
/// 1. Before its call a caller notes e0 and all of `done`. Let `done[P]` be e0, even. Then the
///    bytes are in P, and the writer began when the epoch was e0 already: after the discard that
///    ended with e0, which therefore did not take them.
/// 2. After the answer the epoch is e0 still. The discarder makes it odd before it does anything,
///    so no discard had begun when the answer was complete.
/// 3. So P was not zero from before the call until after it. If P is in the answer, the answer is
///    wrong.
///
/// A writer that loaded e before a discard and stores it after sets `done[P]` to a number that is
/// not the epoch any more: nothing follows from it, and nothing is concluded. So it is with one
/// that loaded an odd e. In doubt the checker is silent; the counts tell how often it was not.
///
/// A reply may put zeros over a writer's bytes. Such a page was written nevertheless, and the
/// tracker withholds what was written, so the checker asks no less.
///
/// The notes for a call are made after the one before was checked, on the vCPU's own thread: before
/// the guest goes on, and so before it calls again.
final class StormChecker: Sendable {
  /// What one calling vCPU's thread knows.
  private struct Caller {
    /// Odd: nothing was noted yet.
    var epoch = UInt32.max
    var done = [UInt32](repeating: 0, count: StormLayout.arenaPageCount)
    var lastRanges: [BootZeroedRange] = []
  }

  let counts = StormCounts()
  let epoch: SharedWords
  let done: SharedWords
  private let callers: [CallerCell]
  private let firstViolations = Mutex<[String]>([])

  private final class CallerCell: Sendable {
    let caller = Mutex(Caller())
  }

  init(epoch: SharedWords, done: SharedWords) {
    self.epoch = epoch
    self.done = done
    callers = (0..<StormLayout.callerCount).map { _ in CallerCell() }
  }

  /// The first few, for a failure's message.
  var violations: [String] { firstViolations.withLock { $0 } }

  /// Checks an answer against the notes made before it; on the vCPU's thread, before the guest goes
  /// on.
  func check(_ event: HypercallEvent) {
    guard let ranges = event.outcome.reportedRanges else { return }
    // Acquiring, and after the answer. The thread holds no lock of the tracker any more.
    let now = epoch.load(0)
    let number = counts.answers.count()
    callers[Int(event.vcpuID)].caller.withLock { caller in
      if caller.epoch == now, now % 2 == 0 {
        check(ranges, caller, "vCPU \(event.vcpuID), answer \(number)")
        // The reply was written since the notes were made, and no discard began: a write as any.
        let page = Int(event.request.outputAddress.pageNumber - StormLayout.firstPage)
        if !ranges.isEmpty { done.store(now, at: page) }
      }
      if !ranges.isEmpty { counts.nonEmpty.count() }
      if ranges != caller.lastRanges { counts.changed.count() }
      caller.lastRanges = ranges
    }
  }

  /// Makes the notes for a vCPU's next call.
  func note(forVCPU id: UInt32) {
    callers[Int(id)].caller.withLock { caller in
      // The epoch first: the notes are then no older than it.
      caller.epoch = epoch.load(0)
      done.copy(into: &caller.done)
    }
  }

  private func check(_ ranges: [BootZeroedRange], _ caller: Caller, _ call: String) {
    counts.checked.count()
    if WordSearch.first(caller.epoch, in: caller.done, 0..<caller.done.count) != nil {
      counts.afterWrites.count()
    }
    var pageCount = 0
    for range in ranges {
      let pages = Self.arenaPages(of: range)
      guard !pages.isEmpty else { continue }
      pageCount += pages.count
      if caller.done[pages.lowerBound] != 0 { counts.recycledRanges.count() }
      guard let page = WordSearch.first(caller.epoch, in: caller.done, pages) else { continue }
      if counts.violations.count() <= 5 {
        firstViolations.withLock {
          $0.append("\(call), epoch \(caller.epoch): page \(page) of the arena")
        }
      }
    }
    counts.reportedPages.count(pageCount)
  }

  /// The part of a reported range that is in the arena, numbered from its first page.
  private static func arenaPages(of range: BootZeroedRange) -> Range<Int> {
    let first = Int(range.startPage) - Int(StormLayout.firstPage)
    return (first..<(first + Int(range.pageCount))).clamped(to: 0..<StormLayout.arenaPageCount)
  }
}
