import Synchronization

/// What happened in a storm: proof that there was one. Counts only, no times.
final class StormCounts: Sendable, CustomStringConvertible {
  let answers = Atomic(0)
  /// Answers with no discard since the writes were noted: those that could be checked.
  let checked = Atomic(0)
  /// Checked answers before which a page of the epoch had been written.
  let afterWrites = Atomic(0)
  let nonEmpty = Atomic(0)
  /// Answers that were not what the same vCPU got before.
  let changed = Atomic(0)
  /// Pages of the arena in all answers together.
  let reportedPages = Atomic(0)
  /// Ranges in checked answers that begin with a page that was written in an earlier epoch.
  let recycledRanges = Atomic(0)
  let guestWrites = Atomic(0)
  let hostWrites = Atomic(0)
  let discards = Atomic(0)
  /// Pages seen with bytes after a discard whose writer began before its end.
  let witnessed = Atomic(0)
  let violations = Atomic(0)

  var description: String {
    "answers \(answers.count), checked \(checked.count), after writes \(afterWrites.count), "
      + "non-empty \(nonEmpty.count), changed \(changed.count), "
      + "reported pages \(reportedPages.count), recycled ranges \(recycledRanges.count), "
      + "guest writes \(guestWrites.count), host writes \(hostWrites.count), "
      + "discards \(discards.count), witnessed \(witnessed.count), violations \(violations.count)"
  }
}

// Relaxed: they only count. Who reads them for more has them by other means in order.
extension Atomic where Value == Int {
  var count: Int { load(ordering: .relaxed) }

  @discardableResult
  func count(_ amount: Int = 1) -> Int {
    add(amount, ordering: .relaxed).newValue
  }
}
