import Glibc
import TestSupport
import Testing

@testable import HostSystem

@Suite(.timeLimit(.minutes(10))) struct WorkListTests {
  @Test("a number waits once, however often and from how many threads it is added")
  func bounded() throws {
    let list = WorkList(count: 5)
    let threads = try (0..<4).map { _ in
      try HostThread { for round in 0..<20_000 { list.add(round % 5) } }
    }
    for thread in threads { thread.join() }
    #expect(list.waitingCount == 5)
    #expect(Set((0..<5).map { _ in list.nextIfWaiting() }) == Set(0..<5))
    #expect(list.nextIfWaiting() == nil)
  }

  @Test("a closed list takes nothing, keeps nothing and sends those away who wait")
  func closed() throws {
    let list = WorkList(count: 2)
    let found = Recorder<Int?>()
    let waiters = try (0..<3).map { _ in try HostThread { found.append(list.next()) } }
    list.add(1)
    try waitUntil { !found.values.isEmpty }
    list.close()
    for thread in waiters { thread.join() }
    list.add(0)
    #expect(found.values == [1, nil, nil] && list.next() == nil)
  }

  @Test("who waits for threads that a closed list has sent away waits no longer")
  func closedWhileHeld() throws {
    let list = WorkList(count: 1)
    let isBusy = Recorder<Int?>()
    let goesOn = Recorder<Bool>()
    let worker = try HostThread {
      isBusy.append(list.next())
      while goesOn.values.isEmpty { sched_yield() }
      while list.next() != nil {}
    }
    list.add(0)
    try waitUntil { !isBusy.values.isEmpty }
    list.hold()
    let closer = try HostThread { list.close() }
    #expect(!list.waitForIdleThreads(count: 1, seconds: 3600))
    goesOn.append(true)
    worker.join()
    closer.join()
    list.release()
    #expect(list.isOver)
  }
}
