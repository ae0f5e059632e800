import TestSupport
import Testing

@testable import Devices

@Suite(.onDiskThread) struct NVMeQueueTurnTests {
  @Test("a queue's turn ends, however many commands it has")
  func turns() {
    var turn = NVMeQueueTurn()
    for _ in 0..<NVMeQueueTurn.commandCount {
      #expect(turn.hasTime)
      turn.count(byteCount: 512, [1])
      _ = turn.takeVectors()
    }
    #expect(!turn.hasTime)
  }

  @Test(
    "completions wait for few others, and for little data",
    arguments: [(1, 8), (8, 8), (64, 2), (128, 1)])
  func silence(sectorCount: Int, commandCount: Int) {
    var turn = NVMeQueueTurn()
    for _ in 0..<2 {
      for index in 1...commandCount {
        #expect(!turn.mustSignal)
        turn.count(byteCount: UInt64(sectorCount) * 512, [index % 2 + 1])
      }
      #expect(turn.mustSignal)
      #expect(Set(turn.takeVectors()) == (commandCount == 1 ? [2] : [1, 2]))
      #expect(turn.takeVectors() == [] && !turn.mustSignal)
    }
  }
}
