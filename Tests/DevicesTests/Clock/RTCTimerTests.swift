import TestSupport
import Testing

@testable import Devices

/// When the clock asks to be woken, and what becomes of it then.
@Suite(.onVCPUThread) struct RTCTimerTests {
  private static let second: Int64 = 1_000_000_000
  private let clock = ManualClock(RealTimeClockTests.leapDay)
  private let line = RecordingLine()
  private let times = Recorder<Int64?>()
  private let alarms = Recorder<Bool>()

  private func makeClock(_ kept: RealTimeClock.Kept = RealTimeClock.Kept()) -> RealTimeClock {
    RealTimeClock(
      kept, line: line, nanosecondsSince1970: { [clock] in clock.nanoseconds },
      onNextInterrupt: { [times] in times.append($0) }, onAlarm: { [alarms] in alarms.append(true) }
    )
  }

  private var next: Int64? { times.values.last ?? nil }

  /// Waits as a timer does; there is an interrupt at that moment, and not a nanosecond before.
  private func wake(_ device: RealTimeClock) throws {
    let time = try #require(next)
    #expect(time > clock.nanoseconds && !line.isAsserted)
    clock.nanoseconds = time - 1
    device.update()
    #expect(!line.isAsserted && next == time)
    clock.nanoseconds = time
    device.update()
    #expect(line.isAsserted && next == nil)
  }

  @Test("with nothing enabled nobody is woken, whatever the guest does")
  func idle() {
    let device = makeClock()
    for index in 0...0x7F as ClosedRange<UInt64> {
      _ = device.register(index)
      if index != 0x0B { device.setRegister(index, 0x11) }
      clock.advance(by: Self.second / 3)
    }
    for control in [0x00, 0x02, 0x07, 0x08, 0x80, 0x90] as [UInt64] {
      device.setRegister(0x0B, control)
    }
    #expect(times.values.isEmpty && line.levels.allSatisfy { !$0 })
  }

  /// Rate; the period in ticks of 32.768 kHz.
  @Test(
    "periodic interrupts at each rate",
    arguments: [
      (1, 128), (2, 256), (3, 4), (4, 8), (5, 16), (6, 32), (7, 64), (8, 128), (9, 256), (10, 512),
      (11, 1024), (12, 2048), (13, 4096), (14, 8192), (15, 16384),
    ] as [(UInt64, Int64)])
  func periodic(rate: UInt64, ticks: Int64) throws {
    clock.nanoseconds += 123
    let device = makeClock()
    device.setRegister(0x0A, 0x20 | rate)
    device.setRegister(0x0B, 0x42)
    for count in 1...5 as ClosedRange<Int64> {
      try wake(device)
      let passed = clock.nanoseconds - RealTimeClockTests.leapDay
      #expect(passed == (count * ticks * Self.second + 32767) / 32768)
      #expect(device.register(0x0C) & 0xC0 == 0xC0 && !line.isAsserted)
    }
    #expect(line.edgeCount == 5 && line.idleCallCount == 0)
  }

  @Test("rate 0 gives no periodic interrupts, and a divider that is held gives none")
  func noPeriodic() {
    let device = makeClock()
    device.setRegister(0x0B, 0x42)
    for rate in [0x20, 0x66, 0x76, 0x60] as [UInt64] {
      device.setRegister(0x0A, rate)
      #expect(next == nil)
    }
    device.setRegister(0x0A, 0x26)
    #expect(next != nil)
  }

  @Test("update interrupts come once a second, and only as register C is read")
  func update() throws {
    clock.nanoseconds += 300_000_000
    let device = makeClock()
    device.setRegister(0x0A, 0x20)
    device.setRegister(0x0B, 0x12)
    for count in 1...3 as ClosedRange<Int64> {
      try wake(device)
      #expect(clock.nanoseconds == RealTimeClockTests.leapDay + count * Self.second)
      // Also the alarm's flag, at midnight.
      #expect(device.register(0x0C) & 0x90 == 0x90)
    }
    try wake(device)
    // Nobody reads: nobody is woken.
    let count = times.values.count
    clock.advance(by: 3600 * Self.second)
    device.update()
    for index in [0, 2, 4, 0x0A, 0x0B] as [UInt64] { _ = device.register(index) }
    #expect(times.values.count == count && line.isAsserted && line.edgeCount == 4)
    #expect(device.register(0x0C) & 0x90 == 0x90 && next != nil)
  }

  @Test("an alarm is sounded when it goes off, and only once")
  func alarm() throws {
    let device = makeClock()
    // 23:59:58 is now; the alarm is in 7 s, and next tomorrow.
    for (index, value) in [(1, 0x05), (3, 0x00), (5, 0x00)] as [(UInt64, UInt64)] {
      device.setRegister(index, value)
    }
    #expect(times.values.isEmpty)
    device.setRegister(0x0B, 0x22)
    try wake(device)
    #expect(clock.nanoseconds == RealTimeClockTests.leapDay + 7 * Self.second)
    #expect(alarms.values.count == 1)
    #expect(device.register(0x0C) & 0xB0 == 0xB0)
    try wake(device)
    #expect(clock.nanoseconds == RealTimeClockTests.leapDay + (7 + 86400) * Self.second)
    #expect(alarms.values.count == 2)
    // An alarm that is not enabled sounds none.
    _ = device.register(0x0C)
    device.setRegister(0x0B, 0x02)
    #expect(next == nil)
    clock.advance(by: 86400 * Self.second)
    #expect(device.register(0x0C) & 0x20 == 0x20 && alarms.values.count == 2)
  }

  @Test("enabling an interrupt whose flag is set interrupts at once")
  func late() {
    let device = makeClock()
    clock.advance(by: 2 * Self.second)
    device.setRegister(0x0B, 0x12)
    #expect(line.isAsserted && next == nil)
    device.setRegister(0x0B, 0x02)
    #expect(!line.isAsserted && next == nil)
  }

  @Test("alarms of any registers and formats, as a search through a day's seconds finds them")
  func alarmsLikeASearch() {
    var generator = SeededGenerator(seed: 8)
    for round in 0..<40 {
      let start = Int64.random(in: -4_000_000_000...4_000_000_000, using: &generator)
      let format = [0x00, 0x02, 0x04, 0x06].randomElement(using: &generator) ?? 0
      let code = RTCFormat(isBinary: format & 4 != 0, is24Hour: format & 2 != 0)
      let alarm = [60, 60, 24].map { limit in
        switch generator.next() % 4 {
        case 0: 0xC0 | UInt8(generator.next() & 0x3F)
        // Few of these are a time at all.
        case 1: UInt8(truncatingIfNeeded: generator.next())
        default:
          limit == 24
            ? code.encode(hour: Int(generator.next() % 24))
            : code.encode(Int(generator.next() % 60))
        }
      }
      clock.nanoseconds = start * Self.second
      let found = Recorder<Int64?>()
      let device = RealTimeClock(
        nanosecondsSince1970: { [clock] in clock.nanoseconds },
        onNextInterrupt: { found.append($0) })
      device.setRegister(0x0A, 0x20)
      for (index, value) in zip([1, 3, 5] as [UInt64], alarm) {
        device.setRegister(index, UInt64(value))
      }
      device.setRegister(0x0B, UInt64(format) | 0x20)
      let expected = Self.search(alarm, code, after: start)
      #expect(
        found.values == (expected.map { [$0 * Self.second] } ?? []),
        "round \(round), format \(format), alarm \(alarm), from \(start)")
    }
  }

  private static func search(_ alarm: [UInt8], _ code: RTCFormat, after start: Int64) -> Int64? {
    (start + 1...start + 86400).first { time in
      let second = Int(((time % 86400) + 86400) % 86400)
      return (alarm[0] >= 0xC0 || alarm[0] == code.encode(second % 60))
        && (alarm[1] >= 0xC0 || alarm[1] == code.encode(second / 60 % 60))
        && (alarm[2] >= 0xC0 || alarm[2] == code.encode(hour: second / 3600))
    }
  }

  @Test("the first update comes half a second after a divider that was held goes on")
  func divider() throws {
    let device = makeClock()
    clock.advance(by: 123_456_789)
    // As Linux sets the time.
    device.setRegister(0x0B, 0x92)
    device.setRegister(0x0A, 0x76)
    for (index, value) in [
      (0x32, 0x20), (9, 0x30), (8, 0x07), (7, 0x15), (4, 0x12), (2, 0x34), (0, 0x56),
    ] as [(UInt64, UInt64)] { device.setRegister(index, value) }
    clock.advance(by: 3 * Self.second)
    device.setRegister(0x0B, 0x12)
    clock.advance(by: 5 * Self.second)
    #expect(device.register(0) == 0x56 && next == nil, "it still stands")
    #expect(device.register(0x0A) == 0x76)
    device.setRegister(0x0A, 0x26)
    let start = clock.nanoseconds
    _ = device.register(0x0C)
    try wake(device)
    #expect(clock.nanoseconds == start + Self.second / 2)
    #expect([4, 2, 0].map { device.register($0) } == [0x12, 0x34, 0x57])
  }

  @Test("a step of the host's clock: the time moves with it, and so does the next interrupt")
  func steps() throws {
    let device = makeClock()
    device.setRegister(0x0B, 0x12)
    let first = try #require(next)
    clock.advance(by: -7200 * Self.second)
    device.update()
    #expect(!line.isAsserted)
    #expect(next == first - 7200 * Self.second)
    clock.advance(by: 86_400 * Self.second)
    device.update()
    #expect(line.isAsserted && line.edgeCount == 1)
  }

  @Test("what the guest set outlives a reset; which interrupts it wanted does not")
  func kept() {
    let device = makeClock(RealTimeClock.Kept(utcOffsetSeconds: 3600, memory: [0x34: 7]))
    device.setRegister(0x0B, 0x86)
    for (index, value) in [
      (0x32, 20), (9, 31), (8, 2), (7, 3), (4, 4), (2, 5), (0, 6), (1, 44), (3, 45), (5, 13),
      (0x50, 0xAB),
    ] as [(UInt64, UInt64)] { device.setRegister(index, value) }
    device.setRegister(0x0A, 0x2A)
    device.setRegister(0x0B, 0x7E)
    clock.advance(by: 90 * Self.second)
    device.update()
    #expect(line.isAsserted)

    clock.advance(by: 10 * Self.second)
    let second = RealTimeClock(
      device.kept, nanosecondsSince1970: { [clock] in clock.nanoseconds },
      onNextInterrupt: { [times] in times.append($0) })
    #expect(
      [0x32, 9, 8, 7, 4, 2, 0].map { second.register($0) } == [20, 31, 2, 3, 4, 6, 46])
    #expect([1, 3, 5, 0x34, 0x50].map { second.register($0) } == [44, 45, 13, 7, 0xAB])
    #expect(second.register(0x0A) == 0x2A && second.register(0x0B) == 0x06)
    #expect(second.register(0x0C) == 0)
  }

  @Test("a clock that was stopped when the machine was reset still stands")
  func keptStanding() {
    let device = makeClock()
    device.setRegister(0x0B, 0x82)
    device.setRegister(0, 0x11)
    clock.advance(by: 100 * Self.second)
    let second = RealTimeClock(
      device.kept, nanosecondsSince1970: { [clock] in clock.nanoseconds })
    clock.advance(by: 100 * Self.second)
    #expect(second.register(0) == 0x11 && second.register(0x0B) == 0x82)
    second.setRegister(0x0B, 0x02)
    #expect(second.register(0) == 0x11 && second.register(4) == 0x23)
  }
}
