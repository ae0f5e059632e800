import Devices
import TestSupport
import Testing

@Suite(.onVCPUThread) struct PMTimerTests {
  /// Nanoseconds, and the counter of 24 and of 32 bits.
  @Test(
    arguments: [
      (0, 0, 0), (279, 0, 0), (280, 1, 1), (1_000_000_000, 3_579_545, 3_579_545),
      (4_686_968_874, 0xFF_FFFF, 0xFF_FFFF), (4_686_968_875, 0, 0x100_0000),
      (1_199_864_031_881, 0xFF_FFFF, 0xFFFF_FFFF), (1_199_864_031_882, 0, 0),
    ] as [(UInt64, UInt32, UInt32)])
  func ticks(nanoseconds: UInt64, narrow: UInt32, wide: UInt32) {
    #expect(PMTimer { nanoseconds }.value == narrow)
    #expect(PMTimer(isExtended: true) { nanoseconds }.value == wide)
  }

  @Test func theLastNanosecondDoesNotTrap() {
    // 2^64 - 1 ns × 3579545 / 10^9, by hand.
    let ticks = UInt64.max.multipliedFullWidth(by: 3_579_545)
    let expected = (1_000_000_000 as UInt64).dividingFullWidth(ticks).quotient & 0xFFFF_FFFF
    #expect(PMTimer(isExtended: true) { .max }.value == UInt32(expected))
  }

  @Test func bytesAndWrites() {
    let timer = PMTimer(isExtended: true) { 1_000_000_000_000 }
    let value = UInt64(timer.value)
    timer.write(offset: 0, width: 4, value: 0)
    #expect(timer.read(offset: 0, width: 4) == value)
    #expect(timer.read(offset: 2, width: 1) & 0xFF == value >> 16 & 0xFF)
    #expect(timer.read(offset: 4, width: 4) == 0)
  }
}
