import Glibc
import HostSystem
import Sandbox
import Synchronization
import TestSupport
import Testing

@testable import GuestMemory

@Suite(.serialized) struct WriterGateTests {
  /// A writer of `neverBothInside`: short, so that entries and discards meet often, but not too
  /// short to be met.
  private final class Writer: Sendable {
    let isInside = Atomic<Bool>(false)
    let writes = Atomic<Int>(0)

    func write(_ gate: WriterGate) {
      gate.write {
        isInside.store(true, ordering: .relaxed)
        for _ in 0..<10 { _ = isInside.load(ordering: .relaxed) }
        isInside.store(false, ordering: .relaxed)
      }
      writes.add(1, ordering: .relaxed)
    }
  }

  private final class Counts: Sendable {
    let meetings = Atomic<Int>(0)
    let discards = Atomic<Int>(0)
    let insideCount = Atomic<Int>(0)
    let isDone = Atomic<Bool>(false)
  }

  /// Writers that come and go as fast as they can meet discards that do the same. A gate that does
  /// not close fails this; one that forgets the barrier hardly ever does, hence the test after it.
  @Test(.timeLimit(.minutes(10)), arguments: [240, 1, 0])
  func neverBothInside(ownCellCount: Int) {
    let gate = WriterGate(ownCellCount: ownCellCount)
    let writers = [Writer(), Writer()]
    let counts = Counts()
    var bodies: [@Sendable () -> Void] = writers.map { writer in
      { while !counts.isDone.load(ordering: .relaxed) { writer.write(gate) } }
    }
    bodies.append {
      while counts.discards.load(ordering: .relaxed) < 1000
        || writers.contains(where: { $0.writes.load(ordering: .relaxed) < 1000 })
      {
        let meetings = gate.discard(timeoutMilliseconds: 10_000) {
          (0..<5).count { _ in writers.contains { $0.isInside.load(ordering: .relaxed) } }
        }
        counts.meetings.add(meetings ?? 0, ordering: .relaxed)
        counts.discards.add(1, ordering: .relaxed)
        // Long enough for writers to come in, and to be there when the gate closes.
        TestThreads.nap(microseconds: 20)
      }
      counts.isDone.store(true, ordering: .relaxed)
    }
    TestThreads.run(bodies)
    #expect(counts.meetings.load(ordering: .relaxed) == 0)
  }

  /// A barrier makes visible what writers stored before it: here the entry of one, in the moment in
  /// which the gate is closed and nobody was seen yet.
  @Test func aWriterThatTheBarrierShowsKeepsTheDiscardOut() {
    let cells = WriterCells(count: 1)
    let shown = ShownWriter(cells)
    let gate = WriterGate(cells, barrier: shown.show)
    #expect(gate.discard(timeoutMilliseconds: 0) { true } == nil)
    #expect(shown.count.load(ordering: .relaxed) > 0)
    shown.leave()
    #expect(gate.discard(timeoutMilliseconds: 0) { true } == true)
  }

  private final class ShownWriter: Sendable {
    let count = Atomic<Int>(0)
    private let isGone = Atomic<Bool>(false)
    private let cells: WriterCells

    init(_ cells: WriterCells) {
      self.cells = cells
    }

    @Sendable func show() {
      count.add(1, ordering: .relaxed)
      if !isGone.load(ordering: .relaxed) { set(1) }
    }

    func leave() {
      isGone.store(true, ordering: .relaxed)
      set(0)
    }

    private func set(_ writers: Int) {
      // SAFETY: the cells live as long as self.
      unsafe cells.ownCell()!.pointee.store(writers, ordering: .sequentiallyConsistent)
    }
  }

  /// A writer that comes while a discard is at work sleeps until its end, and is woken: 200 times,
  /// by threads that may sleep in no other way than by futex(2).
  @Test(.timeLimit(.minutes(10)), arguments: [ThreadRole.vcpu, .disk], [240, 0])
  func writersWaitForDiscards(role: ThreadRole, ownCellCount: Int) {
    let gate = WriterGate(ownCellCount: ownCellCount)
    let counts = Counts()
    let writer: @Sendable () -> Void = {
      ThreadFilter.enter(role)
      while !counts.isDone.load(ordering: .sequentiallyConsistent) { gate.write {} }
    }
    let discarder: @Sendable () -> Void = {
      ThreadFilter.enter(.vcpu)
      for _ in 0..<200 {
        let hasWaited: Void? = gate.discard(timeoutMilliseconds: 600_000) {
          while !gate.isAwaited { sched_yield() }
        }
        if hasWaited != nil { counts.discards.add(1, ordering: .relaxed) }
      }
      counts.isDone.store(true, ordering: .sequentiallyConsistent)
    }
    TestThreads.run([writer, writer, discarder])
    #expect(counts.discards.load(ordering: .relaxed) == 200)
  }

  /// A discard that meets a writer sleeps until it has left, and is woken: a thousand times. A
  /// wake-up that is lost lets it sleep for ten minutes.
  @Test(.timeLimit(.minutes(10)), arguments: [ThreadRole.vcpu, .disk], [240, 0])
  func discardsWaitForWriters(role: ThreadRole, ownCellCount: Int) {
    let gate = WriterGate(ownCellCount: ownCellCount)
    let counts = Counts()
    let writer: @Sendable () -> Void = {
      ThreadFilter.enter(role)
      while !counts.isDone.load(ordering: .sequentiallyConsistent) {
        gate.write {
          counts.insideCount.add(1, ordering: .sequentiallyConsistent)
          // Until a discard waits for it. The nested ones do not wait for the discard.
          while !gate.isClosed, !counts.isDone.load(ordering: .sequentiallyConsistent) {
            sched_yield()
          }
          for _ in 0..<3 { _ = gate.write { counts.meetings.add(1, ordering: .relaxed) } }
          counts.insideCount.subtract(1, ordering: .sequentiallyConsistent)
        }
      }
    }
    let discarder: @Sendable () -> Void = {
      ThreadFilter.enter(.vcpu)
      for _ in 0..<1000 {
        while counts.insideCount.load(ordering: .sequentiallyConsistent) == 0 { sched_yield() }
        if gate.discard(timeoutMilliseconds: 600_000, { true }) == true {
          counts.discards.add(1, ordering: .relaxed)
        }
      }
      counts.isDone.store(true, ordering: .sequentiallyConsistent)
    }
    TestThreads.run([writer, writer, discarder])
    #expect(counts.discards.load(ordering: .relaxed) == 1000)
    #expect(counts.meetings.load(ordering: .relaxed) >= 3000)
  }

  @Test(arguments: [240, 0])
  func aDiscardWaitsForTheOuterOfNestedWriters(ownCellCount: Int) {
    let gate = WriterGate(ownCellCount: ownCellCount)
    let other = WriterGate(ownCellCount: ownCellCount)
    let results = gate.write {
      gate.write {}
      // Forgets this thread's cell in the first gate.
      other.write { gate.write {} }
      return [gate, other].map { $0.discard(timeoutMilliseconds: 1) { true } }
    }
    #expect(results == [nil, true])
    #expect(gate.discard(timeoutMilliseconds: 1) { true } == true)
  }

  /// A thread without a cell that is inside of one gate waits for the discard of another, which may
  /// be at work, as any thread does.
  @Test func aSharerOfAnotherGateWaits() {
    let gate = WriterGate(ownCellCount: 0)
    let other = WriterGate(ownCellCount: 0)
    let order = Atomic<Int>(0)
    TestThreads.run(
      as: .vcpu,
      [
        {
          _ = gate.discard(timeoutMilliseconds: 600_000) {
            order.store(1, ordering: .sequentiallyConsistent)
            while !gate.isAwaited { sched_yield() }
            order.store(2, ordering: .sequentiallyConsistent)
          }
        },
        {
          while order.load(ordering: .sequentiallyConsistent) == 0 { sched_yield() }
          other.write {
            gate.write {
              let (_, found) = order.compareExchange(
                expected: 2, desired: 3, ordering: .sequentiallyConsistent)
              precondition(found == 2)
            }
          }
        },
      ])
    #expect(order.load(ordering: .sequentiallyConsistent) == 3)
  }

  /// More threads than cells, one after the other and at once.
  @Test func threadsWithoutACellShare() {
    let gate = WriterGate(ownCellCount: 2)
    TestThreads.run(
      as: .disk,
      (0..<8).map { _ in
        { for _ in 0..<1000 { gate.write { gate.write {} } } }
      })
    #expect(gate.discard(timeoutMilliseconds: 1000) { true } == true)
  }

  @Test func aWriterThatFailsLeaves() {
    struct Failure: Error {}
    let gate = WriterGate()
    #expect(throws: Failure.self) { try gate.write { () throws(Failure) in throw Failure() } }
    #expect(gate.discard(timeoutMilliseconds: 0) { true } == true)
  }
}
