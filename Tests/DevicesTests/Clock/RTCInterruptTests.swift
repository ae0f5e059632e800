import Devices
import TestSupport
import Testing

@Suite(.onVCPUThread) struct RTCInterruptTests {
  private let clock = ManualClock(RealTimeClockTests.leapDay)
  private let line = RecordingLine()

  private func makeClock() -> RealTimeClock {
    RealTimeClock(line: line) { [clock] in clock.nanoseconds }
  }

  @Test func eachSecondSetsTheUpdateFlagOnce() {
    let device = makeClock()
    device.setRegister(0x0A, 0x20)
    #expect(device.register(0x0C) == 0)
    clock.advance(by: 999_999_999)
    #expect(device.register(0x0C) == 0)
    clock.advance(by: 1)
    #expect(device.register(0x0C) == 0x10)
    #expect(device.register(0x0C) == 0)
    #expect(!line.isAsserted)
  }

  @Test func anEnabledFlagInterruptsUntilRead() {
    let device = makeClock()
    device.setRegister(0x0A, 0x20)
    device.setRegister(0x0B, 0x12)
    clock.advance(by: 1_000_000_000)
    #expect(!line.isAsserted)
    device.update()
    #expect(line.isAsserted)
    #expect(device.register(0x0C) == 0x90)
    #expect(!line.isAsserted)
    // SET disables it.
    device.setRegister(0x0B, 0x92)
    #expect(device.register(0x0B) == 0x82)
    clock.advance(by: 3_000_000_000)
    #expect(device.register(0x0C) == 0)
  }

  /// Rate, and its period in nanoseconds, rounded up.
  @Test(
    arguments: [
      (1, 3_906_250), (2, 7_812_500), (3, 122_071), (6, 976_563), (15, 500_000_000),
    ] as [(UInt64, Int64)])
  func periods(rate: UInt64, nanoseconds: Int64) {
    clock.nanoseconds = 0
    let device = makeClock()
    device.setRegister(0x0A, 0x20 | rate)
    clock.nanoseconds = nanoseconds - 1
    #expect(device.register(0x0C) == 0)
    clock.nanoseconds = nanoseconds
    #expect(device.register(0x0C) == 0x40)
  }

  /// Alarm seconds, minutes, hours; seconds until it goes off, at 23:59:58.
  @Test(
    arguments: [
      (0xFF, 0xFF, 0xFF, 1), (0x59, 0x59, 0x23, 1), (0x00, 0x00, 0x00, 2), (0x01, 0xC0, 0xC0, 3),
      (0x00, 0x01, 0xFF, 62), (0x58, 0x59, 0x23, 86400), (0xFF, 0x00, 0x01, 3602),
    ] as [(UInt64, UInt64, UInt64, Int64)])
  func alarms(second: UInt64, minute: UInt64, hour: UInt64, after: Int64) {
    let device = makeClock()
    device.setRegister(0x0A, 0x20)
    for (index, value) in [(1, second), (3, minute), (5, hour)] as [(UInt64, UInt64)] {
      device.setRegister(index, value)
      #expect(device.register(index) == value)
    }
    device.setRegister(0x0B, 0x22)
    clock.advance(by: after * 1_000_000_000 - 1)
    device.update()
    #expect(!line.isAsserted)
    clock.advance(by: 1)
    #expect(device.register(0x0C) & 0xA0 == 0xA0)
    // Long unread: a day has every time.
    clock.advance(by: 400 * 86_400_000_000_000)
    device.update()
    #expect(line.isAsserted)
  }

  @Test func aStepBackOfTheHostRaisesNothing() {
    let device = makeClock()
    clock.advance(by: -3_600_000_000_000)
    #expect(device.register(0x0C) == 0)
    #expect(device.register(4) == 0x22)
  }
}
