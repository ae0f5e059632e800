import Foundation
import TestSupport
import Testing

@testable import HostSystem

@Suite(.timeLimit(.minutes(10))) struct WallClockTimerTests {
  private static var now: Int64 { Int64(Date().timeIntervalSince1970 * 1e9) }
  private static let hour: Int64 = 3_600_000_000_000

  @Test("a time that has come calls the function once, on a thread that was prepared")
  func once() throws {
    let calls = Recorder<String>()
    let timer = try WallClockTimer(
      onThreadStart: { calls.append("start") }, action: { calls.append("call") })
    timer.set(Self.now + 20_000_000)
    try waitUntil { calls.values.count == 2 }
    timer.set(Self.now - Self.hour)
    try waitUntil { calls.values.count == 3 }
    timer.set(-1)
    try waitUntil { calls.values.count == 4 }
    TestThreads.nap(microseconds: 20_000)
    #expect(calls.values == ["start", "call", "call", "call"])
    timer.stop()
    timer.stop()
  }

  @Test("while no time is set the thread does not wake up; a time that is taken back calls nothing")
  func idle() throws {
    let calls = Recorder<Bool>()
    let timer = try WallClockTimer(onThreadStart: {}, action: { calls.append(true) })
    TestThreads.nap(microseconds: 100_000)
    #expect(timer.wakeCount == 0)
    timer.set(nil)
    timer.set(Self.now + 50_000_000)
    timer.set(nil)
    TestThreads.nap(microseconds: 150_000)
    // At most one for each change.
    #expect(timer.wakeCount <= 2 && calls.values.isEmpty)
    timer.set(Self.now + Self.hour)
    timer.set(Self.now + 10_000_000)
    try waitUntil { calls.values.count == 1 }
    timer.stop()
  }

  @Test("again and again, each time once")
  func again() throws {
    let calls = Recorder<Bool>()
    let timer = try WallClockTimer(onThreadStart: {}, action: { calls.append(true) })
    for count in 1...20 {
      timer.set(Self.now + 2_000_000)
      try waitUntil { calls.values.count == count }
    }
    TestThreads.nap(microseconds: 20_000)
    #expect(calls.values.count == 20)
  }
}
