internal import Glibc

/// How long a lock of a file is tried for before it counts as another program's: one second.
///
/// A lock goes with the open file description, and so with every copy of its descriptor. A process
/// that has just been started holds copies until its program begins, and one that was killed until
/// it is gone. Both last for moments.
package enum LockPatience {
  /// How often a lock is tried, and the time between.
  package static let tryCount = 100
  private static let napMilliseconds: Int32 = 10

  /// Tries until the lock is taken, or for the last time.
  ///
  /// - Parameter nap: what is done between two tries.
  /// - Returns: whether it was taken.
  package static func take<Failure>(
    nap: () -> Void = nap, _ isTaken: () throws(Failure) -> Bool
  ) throws(Failure) -> Bool {
    for _ in 1..<tryCount {
      if try isTaken() { return true }
      nap()
    }
    return try isTaken()
  }

  /// By poll(2): a machine that moves takes its files up again in its sandbox, which has no other
  /// sleep.
  @Sendable package static func nap() {
    _ = poll(nil, 0, napMilliseconds)
  }
}
