import HostSystem
import TestSupport
import Testing

@testable import Devices

/// The clock with the host's time and a thread of its own.
@Suite(.timeLimit(.minutes(10))) struct RTCThreadTests {
  @Test("a clock with a timer interrupts by itself; with the clock its thread goes")
  func realTimeClock() throws {
    let line = RecordingLine()
    weak var gone: RealTimeClock?
    do {
      let device = RealTimeClock(line: line, nanosecondsSince1970: HostClock.nanosecondsSince1970)
      gone = device
      try device.startTimer {}
      device.setRegister(0x0A, 0x2A)
      device.setRegister(0x0B, 0x42)
      for count in 1...5 {
        try waitUntil { line.edgeCount == count && line.isAsserted }
        #expect(device.register(0x0C) & 0xC0 == 0xC0)
      }
      device.stopTimer()
      TestThreads.nap(microseconds: 50_000)
      let count = line.edgeCount
      TestThreads.nap(microseconds: 50_000)
      #expect(line.edgeCount == count)
    }
    #expect(gone == nil)
  }
}
