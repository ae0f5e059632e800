import TestSupport
import Testing

@testable import Devices

@Suite(.onDiskThread) struct NVMeVisitTests {
  @Test("a queue's turn ends, however many commands it has")
  func turns() {
    var visit = NVMeVisit()
    for _ in 0..<NVMeVisit.commandCount {
      #expect(visit.hasTime)
      visit.count(byteCount: 512, [1])
      _ = visit.takeVectors()
    }
    #expect(!visit.hasTime)
  }

  @Test(
    "completions wait for few others, and for little data",
    arguments: [(1, 8), (8, 8), (64, 2), (128, 1)])
  func silence(sectorCount: Int, commandCount: Int) {
    var visit = NVMeVisit()
    for _ in 0..<2 {
      for index in 1...commandCount {
        #expect(!visit.mustSignal)
        visit.count(byteCount: UInt64(sectorCount) * 512, [index % 2 + 1])
      }
      #expect(visit.mustSignal)
      #expect(Set(visit.takeVectors()) == (commandCount == 1 ? [2] : [1, 2]))
      #expect(visit.takeVectors() == [] && !visit.mustSignal)
    }
  }
}
