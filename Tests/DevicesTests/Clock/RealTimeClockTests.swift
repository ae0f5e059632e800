import Devices
import TestSupport
import Testing

@Suite(.onVCPUThread) struct RealTimeClockTests {
  /// 2024-02-29T23:59:58Z, a Thursday.
  static let leapDay: Int64 = 1_709_251_198_000_000_000

  private let clock = ManualClock(RealTimeClockTests.leapDay)

  private func makeClock(utcOffsetSeconds: Int32 = 0) -> RealTimeClock {
    RealTimeClock(
      RealTimeClock.Kept(utcOffsetSeconds: utcOffsetSeconds),
      nanosecondsSince1970: { [clock] in clock.nanoseconds })
  }

  private static func fields(_ device: RealTimeClock) -> [UInt64] {
    [0x32, 9, 8, 7, 6, 4, 2, 0].map { device.register($0) }
  }

  @Test(
    arguments: [
      (0x02, [0x20, 0x24, 0x02, 0x29, 5, 0x23, 0x59, 0x58]),
      (0x06, [20, 24, 2, 29, 5, 23, 59, 58]),
      (0x00, [0x20, 0x24, 0x02, 0x29, 5, 0x91, 0x59, 0x58]),
      (0x04, [20, 24, 2, 29, 5, 0x8B, 59, 58]),
    ] as [(UInt64, [UInt64])])
  func theTimeInEveryFormat(control: UInt64, expected: [UInt64]) {
    let device = makeClock()
    device.setRegister(0x0B, control)
    #expect(Self.fields(device) == expected)
    // The same time written back is the same time.
    device.setRegister(0x0B, control | 0x80)
    for (index, value) in zip([0x32, 9, 8, 7, 6, 4, 2, 0] as [UInt64], expected) {
      device.setRegister(index, value)
    }
    device.setRegister(0x0B, control)
    #expect(Self.fields(device) == expected)
  }

  /// Hour of the day, and how 12-hour BCD writes it.
  @Test(
    arguments: [(0, 0x12), (1, 0x01), (11, 0x11), (12, 0x92), (13, 0x81), (22, 0x90), (23, 0x91)]
      as [(Int64, UInt64)])
  func hoursOfTwelve(hour: Int64, raw: UInt64) {
    clock.nanoseconds = hour * 3_600_000_000_000
    let device = makeClock()
    device.setRegister(0x0B, 0)
    #expect(device.register(4) == raw)
    device.setRegister(4, raw)
    #expect(device.register(4) == raw)
    device.setRegister(0x0B, 0x06)
    #expect(device.register(4) == UInt64(hour))
  }

  /// Seconds since 1970; century, year, month, day, weekday.
  @Test(
    arguments: [
      (0, [19, 70, 1, 1, 5]), (951_782_400, [20, 0, 2, 29, 3]), (951_868_800, [20, 0, 3, 1, 4]),
      (1_709_251_200, [20, 24, 3, 1, 6]), (4_107_542_400, [21, 0, 3, 1, 2]),
      (4_107_456_000, [21, 0, 2, 28, 1]), (-1, [19, 69, 12, 31, 4]),
      (1_735_689_599, [20, 24, 12, 31, 3]), (1_735_689_600, [20, 25, 1, 1, 4]),
    ] as [(Int64, [UInt64])])
  func calendar(seconds: Int64, expected: [UInt64]) {
    clock.nanoseconds = seconds * 1_000_000_000
    let device = makeClock()
    device.setRegister(0x0B, 0x06)
    #expect(Array(Self.fields(device).prefix(5)) == expected)
  }

  @Test func localTimeAndTheIndexWithItsNMIBit() {
    let device = makeClock(utcOffsetSeconds: 7200)
    #expect([0x32, 9, 8, 7, 6, 4].map { device.register($0 | 0x80) } == [0x20, 0x24, 3, 1, 6, 1])
    #expect(device.read(offset: 0, width: 1) == 0xFF)
  }

  @Test func readsOfOneMomentDoNotTear() {
    let device = makeClock()
    device.setRegister(0x0B, 0x02)
    clock.advance(by: 1_999_999_000)
    #expect(device.register(0) == 0x59)
    clock.advance(by: 2_000)  // Midnight between two reads.
    #expect(
      [2, 4, 7, 8].map { device.register($0) } == [0x59, 0x23, 0x29, 0x02])
    // Asked again, it is tomorrow.
    #expect([0, 2, 4, 7, 8].map { device.register($0) } == [0, 0, 0, 1, 3])
    // A moment is kept for less than a second.
    clock.advance(by: 1_000_000_000)
    #expect(device.register(9) == 0x24)
    #expect(device.register(0) == 0x01)
  }

  /// Nanoseconds into the second, and UIP.
  @Test(
    arguments: [(0, 0), (500_000_000, 0), (999_755_999, 0), (999_756_000, 1), (999_999_999, 1)]
      as [(Int64, UInt64)])
  func anUpdateIsAnnounced(nanoseconds: Int64, bit: UInt64) {
    let device = makeClock()
    clock.advance(by: nanoseconds)
    #expect(device.register(0x0A) == 0x26 | bit << 7)
    device.setRegister(0x0B, 0x82)
    #expect(device.register(0x0A) == 0x26)
  }

  @Test func setStopsTheTimeAndMovesTheOffset() {
    let device = makeClock()
    device.setRegister(0x0B, 0x82)
    clock.advance(by: 5_000_000_000)
    #expect(device.register(0) == 0x58)
    for (index, value) in [
      (0x32, 0x19), (9, 0x99), (8, 0x12), (7, 0x31), (4, 0x23), (2, 0x59), (0, 0x59),
    ]
      as [(UInt64, UInt64)]
    { device.setRegister(index, value) }
    clock.advance(by: 5_000_000_000)
    device.setRegister(0x0B, 0x02)
    #expect(Self.fields(device) == [0x19, 0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x59])
    clock.advance(by: 1_000_000_000)
    #expect(Self.fields(device) == [0x20, 0, 1, 1, 7, 0, 0, 0])
  }

  @Test func fixedRegistersAndMemory() {
    var kept = RealTimeClock.Kept(memory: [0x34: 7, 0x35: 7, 0x0D: 9, 0x00: 9, 0x80: 1])
    kept.preset([0x35: 8, 0x0D: 8, 0x00: 8, 0x80: 1])
    let device = RealTimeClock(kept, nanosecondsSince1970: { 0 })
    device.setRegister(0x0A, 0xFF)
    #expect(device.register(0x0A) == 0x7F)
    for value in [0, 0xFF] as [UInt64] {
      device.setRegister(0x0D, value)
      device.setRegister(0x0C, value)
      #expect(device.register(0x0D) == 0x80)
    }
    #expect(device.register(0) == 0)
    #expect(device.register(0x34) == 7)
    #expect(device.register(0x35) == 8)
    for index in 0x0E...0x7F as ClosedRange<UInt64> where index != 0x32 {
      device.setRegister(index, index ^ 0xA5)
    }
    for index in 0x0E...0x7F as ClosedRange<UInt64> where index != 0x32 {
      #expect(device.register(index) == index ^ 0xA5)
    }
  }
}

extension RealTimeClock {
  func register(_ index: UInt64) -> UInt64 {
    write(offset: 0, width: 1, value: index)
    return read(offset: 1, width: 1)
  }

  func setRegister(_ index: UInt64, _ value: UInt64) {
    write(offset: 0, width: 1, value: index)
    write(offset: 1, width: 1, value: value)
  }
}
