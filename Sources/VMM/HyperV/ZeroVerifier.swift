internal import GuestMemory
internal import HyperVCore
internal import ZeroTracker

/// Checks before an answer that what it reports is zero: `--verify-zeroed`.
struct ZeroVerifier: Sendable {
  let guest: GuestMemory

  /// What is wrong with the ranges; nil if every reported page is zero.
  ///
  /// The guest and devices go on meanwhile. So a page that is not zero any more is no violation if the
  /// tracker knows by now that somebody wrote it.
  func violation(in ranges: [PageRange]) -> MachineError? {
    for range in ranges {
      var rest = range
      do throws(GuestMemoryError) {
        while let page = try guest.firstNonZeroPage(in: rest) {
          let snapshot = guest.tracker.snapshot()
          let counts = snapshot.counts(in: PageRange(start: page, pageCount: 1))
          if counts.touched == 0 && counts.written == 0 {
            return .falseReport(page: page, history: snapshot.whyWithheld(page).description)
          }
          rest = PageRange(start: page.advanced(by: 1), end: range.end)
        }
      } catch {
        return .memory(error)
      }
    }
    return nil
  }
}
