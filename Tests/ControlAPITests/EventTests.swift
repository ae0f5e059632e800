import MachineSpecification
import Testing

@testable import ControlAPI

@Suite struct EventTests {
  @Test func aLine() {
    var event = ControlEvent(.reset, [("by", .text("guest"))])
    event.nanoseconds = 1_000_000_002
    #expect(
      event.line
        == #"{"timestamp":{"secs":1,"nanos":2},"source":"vm","event":"reset","#
        + #""properties":{"by":"guest"}}"# + "\n")
  }

  @Test func theOldestAreLost() {
    var backlog = EventBacklog(limit: 3)
    for _ in 0..<3 { backlog.add(ControlEvent(.paused)) }
    let taken = backlog.take()
    #expect(taken.lostCount == 0 && taken.events.count == 3)
    #expect(backlog.isEmpty)
    for _ in 0..<10 { backlog.add(ControlEvent(.paused)) }
    backlog.add(ControlEvent(.resumed))
    backlog.addLost(5)
    let lines = backlog.takeLines().split(separator: "\n")
    #expect(lines.count == 4)
    #expect(lines.first?.contains(#""event":"lost","properties":{"count":13}"#) == true)
    #expect(lines.last?.contains("resumed") == true)
    #expect(backlog.isEmpty)
    let rest = backlog.takeLines()
    #expect(rest.isEmpty)
  }
}
