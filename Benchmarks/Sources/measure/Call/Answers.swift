import Synchronization

/// How many ranges the guest was told.
final class Answers: Sendable {
  private let count = Atomic(0)

  var rangeCount: Int { count.load(ordering: .relaxed) }

  func note(rangeCount: Int) {
    count.add(rangeCount, ordering: .relaxed)
  }
}
