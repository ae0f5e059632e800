import HostSystem
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct GuardedTests {
  private struct Failure: Error {}

  private final class Shared: Sendable {
    let count = Guarded(0)
  }

  @Test("one thread at a time has the value")
  func alone() {
    let shared = Shared()
    TestThreads.run(
      (0..<4).map { _ in
        { for _ in 0..<20_000 { shared.count.withLock { $0 += 1 } } }
      })
    #expect(shared.count.withLock { $0 } == 80_000)
  }

  @Test("an error leaves the lock free and what was changed changed")
  func errors() {
    let shared = Shared()
    #expect(throws: Failure.self) {
      try shared.count.withLock { value throws(Failure) in
        value = 7
        throw Failure()
      }
    }
    #expect(shared.count.withLock { $0 } == 7)
  }

  @Test("a lock that stays taken is given up, one that is free or soon free is not")
  func soon() {
    let shared = Shared()
    #expect(shared.count.withLockSoon { $0 } == 0)
    #expect(shared.count.withLockIfAvailable { $0 } == 0)
    let (isTaken, isOver) = (TestSemaphore(), TestSemaphore())
    TestThreads.start {
      shared.count.withLock { value in
        isTaken.signal()
        isOver.wait()
        value = 9
      }
    }
    isTaken.wait()
    #expect(shared.count.withLockSoon { $0 } == nil)
    #expect(shared.count.withLockIfAvailable { $0 } == nil)
    isOver.signal()
    #expect(shared.count.withLock { $0 } == 9)
  }
}
