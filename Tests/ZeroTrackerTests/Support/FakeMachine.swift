import HostSystem
import Synchronization
import ZeroTracker

/// 4096 pages of memory, one flag each for "has a byte that is not zero", with a dirty log that is
/// set, as by a page fault, before the guest's byte changes.
final class FakeMachine: WrittenPageSource {
  static let pageCount = 4096

  let tracker: ZeroTracker
  private let isNonZero: [4096 of Atomic<Bool>] = .init { _ in Atomic(false) }
  private let isDirty: [4096 of Atomic<Bool>] = .init { _ in Atomic(false) }
  /// Raised when a discard begins and when it ends: odd while one goes on.
  private let discardCount = Atomic<Int>(0)
  /// Keeps VMM writers and discards apart, as the caller of `markZeroed(_:after:)` must.
  private let writers = Guarded(())

  init(granularity: TrackingGranularity) throws {
    tracker = try ZeroTracker(
      regions: [pages(0, UInt64(Self.pageCount))], granularity: granularity)
    tracker.attach(source: self)
  }

  func readWrittenPages(of region: PageRange, into words: inout MutableSpan<UInt64>) throws {
    for page in 0..<Self.pageCount where isDirty[page].load(ordering: .sequentiallyConsistent) {
      words[page / 64] |= 1 << UInt64(page % 64)
    }
  }

  func stop() throws {}

  func forget(_ range: PageRange) -> Bool {
    for page in range.start.rawValue..<range.end.rawValue {
      isDirty[Int(page)].store(false, ordering: .sequentiallyConsistent)
    }
    return true
  }

  func writeAsGuest(_ page: Int) {
    isDirty[page].store(true, ordering: .sequentiallyConsistent)
    isNonZero[page].store(true, ordering: .sequentiallyConsistent)
  }

  func writeAsVMM(_ page: Int) {
    writers.withLock { _ in
      tracker.markTouched(pages(UInt64(page), 1))
      isNonZero[page].store(true, ordering: .sequentiallyConsistent)
    }
  }

  func discard(_ range: PageRange) {
    writers.withLock { _ in
      discardCount.add(1, ordering: .sequentiallyConsistent)
      tracker.markZeroed(range) {
        for page in range.start.rawValue..<range.end.rawValue {
          isNonZero[Int(page)].store(false, ordering: .sequentiallyConsistent)
        }
      }
      discardCount.add(1, ordering: .sequentiallyConsistent)
    }
  }

  /// The law, as a thread can check it: a page that was not zero before the answer began, and was
  /// not discarded meanwhile, is not in the answer. Returns the first page that breaks it.
  func answerBreakingTheLaw(replyPage: Int) -> UInt64? {
    let discards = discardCount.load(ordering: .sequentiallyConsistent)
    let wasNonZero = (0..<Self.pageCount).map {
      isNonZero[$0].load(ordering: .sequentiallyConsistent)
    }
    let ranges = tracker.zeroedRanges(replyPage: GPN(rawValue: UInt64(replyPage)), limit: .max)
    // A discard may have cleared the reply page's mark as well: only then may it be reported.
    guard discards % 2 == 0, discards == discardCount.load(ordering: .sequentiallyConsistent) else {
      return nil
    }
    for range in ranges {
      for page in range.start.rawValue..<range.end.rawValue
      where wasNonZero[Int(page)] || Int(page) == replyPage {
        return page
      }
    }
    return nil
  }
}
