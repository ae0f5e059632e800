import HostSystem
import TestSupport
import Testing

/// Parts that threads do together.
struct SharedWorkTests {
  @Test(arguments: [1, 2, 5], [0, 1, 3, 1000])
  func eachPartOnce(threadCount: Int, count: Int) {
    let done = Guarded([Int](repeating: 0, count: count))
    SharedWork.perform(count, on: threadCount) { part in
      done.withLock { $0[part] += 1 }
      return true
    }
    #expect(done.withLock { $0 } == [Int](repeating: 1, count: count))
  }

  /// Two parts that wait for each other end only where both are under way.
  @Test func onSeveralThreads() {
    let begun = Guarded(0)
    let met = Guarded(0)
    SharedWork.perform(2, on: 2) { _ in
      begun.withLock { $0 += 1 }
      if (try? waitUntil { begun.withLock { $0 } == 2 }) != nil { met.withLock { $0 += 1 } }
      return true
    }
    #expect(met.withLock { $0 } == 2)
  }

  @Test(arguments: [1, 3])
  func nothingIsBegunAfterAFailure(threadCount: Int) {
    let done = Guarded<Set<Int>>([])
    SharedWork.perform(1_000_000, on: threadCount) { part in
      done.withLock { _ = $0.insert(part) }
      return part < 10
    }
    // What others had begun by then.
    #expect(done.withLock { $0.count } < 1_000_000)
    #expect(done.withLock { $0.isSuperset(of: 0...10) })
  }

  @Test func thereIsAProcessor() {
    #expect(SharedWork.availableProcessorCount >= 1)
  }
}
