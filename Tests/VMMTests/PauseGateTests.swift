import HostSystem
import TestSupport
import Testing

@testable import VMM

/// Who is asked when threads come and go during a look at the vCPUs. Needs no KVM.
@Suite struct PauseGateTests {
  private let gate = PauseGate()

  /// vCPU 0 is there; the body is what happens until the look is over.
  private func inspect(_ body: (PauseGate) -> Void) throws -> PauseGate.Answers {
    gate.enter(0)
    return try gate.inspect(seconds: 60) { body(gate) }
  }

  private func answer(_ id: UInt32) {
    #expect(gate.pass(id) { _ in nil }.isClosed)
  }

  @Test func whoBeginsWhileOthersAreAskedIsAskedToo() throws {
    let answers = try inspect { gate in
      gate.enter(1)
      answer(0)
      answer(1)
    }
    #expect(answers.asked.members.sorted() == [0, 1] && answers.ended.members.sorted() == [])
  }

  @Test func whoBeginsAfterTheLastAnswerHasNotBegunYet() throws {
    let answers = try inspect { gate in
      answer(0)
      gate.enter(1)
    }
    #expect(answers.asked.members.sorted() == [0] && answers.ended.members.sorted() == [])
    #expect(!gate.pass(1) { _ in nil }.isClosed, "nobody is asked any more")
  }

  @Test func whoEndsIsNotWaitedFor() throws {
    let answers = try inspect { $0.leave(0) }
    #expect(answers.asked.members.sorted() == [] && answers.ended.members.sorted() == [0])
  }

  /// The end of a run starts those that wait to be started, whether they run already or have run.
  @Test func whoHasEndedDoesNotBeginAgain() throws {
    gate.begin([0, 1])
    gate.leave(0)
    for id in [0, 1] as [UInt32] { gate.enter(id) }
    gate.leave(1)
    let answers = try gate.inspect(seconds: 0) {}
    #expect(answers.asked.members.sorted() == [] && answers.ended.members.sorted() == [0, 1])
  }

  /// A thread that came to the gate later would wait for ever.
  @Test func thereIsNoPauseAfterTheEnd() throws {
    gate.enter(0)
    gate.open(forGood: true)
    #expect(try gate.close { Issue.record("nobody is to be interrupted") })
    #expect(!gate.pass(0) { _ in nil }.isClosed)
  }

  /// Who waits for a thread that is on its way need not wait for more than the end of the pause.
  @Test func aPauseThatIsEndedIsComplete() throws {
    gate.enter(0)
    #expect(try gate.close { gate.open() })
    #expect(!gate.pass(0) { _ in nil }.isClosed)
  }

  /// A machine that is saved as soon as it runs, before the threads of its vCPUs have come.
  @Test(arguments: [false, true]) func whoBeginsLateIsWaitedFor(beginsInPause: Bool) throws {
    if !beginsInPause { gate.begin([0, 1]) }
    if beginsInPause {
      #expect(try gate.close {})
    } else {
      #expect(try !gate.close(seconds: 0) {})
    }
    #expect(!gate.hold(seconds: 0), "nobody is at it")
    let come = Guarded<Set<UInt32>>([])
    func comes(_ id: UInt32) -> @Sendable () -> Void {
      { [gate] in
        if beginsInPause, id == 0 { gate.begin([0, 1]) }
        come.withLock { _ = $0.insert(id) }
        _ = gate.pass(id) { _ in nil }
      }
    }
    TestThreads.run([
      comes(0), comes(1),
      { [gate] in
        #expect(gate.hold())
        #expect(come.withLock { $0 } == [0, 1])
        gate.release()
        gate.open()
      },
    ])
  }

  /// While the machine is saved somebody resumes it, and somebody pauses it again.
  @Test func aPauseAfterAResumeLasts() throws {
    gate.begin([])
    #expect(try gate.close {})
    #expect(gate.hold())
    gate.open()
    #expect(try gate.close {})
    gate.release()
    #expect(gate.hold(), "it is closed")
    gate.open()
    gate.release()
    #expect(!gate.hold(), "it is open")
  }
}

extension PauseGate.Passage {
  fileprivate var isClosed: Bool {
    if case .open = self { false } else { true }
  }
}
