import DeviceKit
import Devices
import TestSupport
import Testing

@Suite(.onVCPUThread) struct PowerManagementTests {
  private let line = RecordingLine()
  private let clock = ManualClock()
  private let offs = Recorder<Bool>()

  private func makeBlock(isACPIEnabled: Bool = false, softOffType: UInt8 = 0) -> PowerManagement {
    PowerManagement(
      timer: PMTimer { [clock] in UInt64(clock.nanoseconds) }, line: line,
      isACPIEnabled: isACPIEnabled, softOffType: softOffType
    ) { [offs] in offs.append(true) }
  }

  @Test func thePowerButtonIsALevelUntilCleared() {
    let block = makeBlock()
    #expect(!block.pressPowerButton())
    #expect(!line.isAsserted)
    #expect(block.read(offset: 0, width: 2) == 0x0100)
    block.write(offset: 2, width: 2, value: 0x0100)
    #expect(line.isAsserted)
    block.write(offset: 0, width: 2, value: 0xFEFF)
    #expect(line.isAsserted)
    block.write(offset: 0, width: 2, value: 0x0100)
    #expect(!line.isAsserted)
    #expect(block.read(offset: 0, width: 4) == 0x0100_0000)
    #expect(block.pressPowerButton())
    #expect(line.isAsserted)
    block.write(offset: 3, width: 1, value: 0)
    #expect(!line.isAsserted)
    block.write(offset: 1, width: 1, value: 1)
    #expect(block.read(offset: 0, width: 2) == 0)
  }

  @Test func generalEventsAreALevelUntilCleared() {
    let block = makeBlock()
    block.raiseGeneralEvent(5)
    block.raiseGeneralEvent(63)
    block.raiseGeneralEvent(64)
    #expect(!line.isAsserted)
    #expect(block.read(offset: 0x20, width: 4) == 0x20)
    #expect(block.read(offset: 0x24, width: 4) == 0x8000_0000)
    block.write(offset: 0x28, width: 1, value: 0x20)
    #expect(line.isAsserted && block.read(offset: 0x28, width: 8) == 0x20)
    block.write(offset: 0x20, width: 1, value: 0xDF)
    #expect(line.isAsserted)
    block.write(offset: 0x20, width: 1, value: 0x20)
    #expect(!line.isAsserted && block.read(offset: 0x20, width: 1) == 0)
    block.write(offset: 0x2F, width: 1, value: 0x80)
    #expect(line.isAsserted)
    block.write(offset: 0x27, width: 4, value: 0xFFFF_FFFF)
    #expect(!line.isAsserted)
    // The power button's line is the same one.
    block.write(offset: 2, width: 2, value: 0x0100)
    block.pressPowerButton()
    block.write(offset: 0x20, width: 8, value: .max)
    #expect(line.isAsserted)
  }

  @Test func generalEventsAreSaved() throws {
    let block = makeBlock()
    block.raiseGeneralEvent(5)
    block.write(offset: 0x28, width: 8, value: 0x21)
    var state = SavedState()
    try state.save(block, as: "power")
    block.write(offset: 0x20, width: 8, value: .max)
    #expect(!line.isAsserted)
    let other = makeBlock()
    try state.restore(other, from: "power")
    #expect(line.isAsserted)
    #expect(other.read(offset: 0x20, width: 8) == 0x20)
    #expect(other.read(offset: 0x28, width: 8) == 0x21)
  }

  @Test func theTimerCarryIsNoticed() {
    let block = makeBlock()
    block.write(offset: 2, width: 2, value: 1)
    clock.nanoseconds = 2_343_484_437
    #expect(block.read(offset: 0, width: 2) == 0)
    clock.nanoseconds = 2_343_484_438  // bit 23 becomes 1
    block.update()
    #expect(line.isAsserted)
    block.write(offset: 0, width: 2, value: 1)
    #expect(!line.isAsserted)
    clock.nanoseconds = 4_686_968_875  // and 0 again
    #expect(block.read(offset: 0, width: 2) == 1)
    #expect(line.isAsserted)
  }

  /// What is written to PM1_CNT, what it reads then, and whether the machine goes off.
  @Test(
    arguments: [
      (0x0000, 0, false), (0x0001, 1, false), (0x2001, 1, true), (0x2000, 0, true),
      (0x3C01, 0x1C01, false), (0x2400, 0x0400, false), (0x1C03, 0x1C03, false),
      (0xDFFC, 0x1C00, false), (0xFFFF, 0x1C03, false),
    ] as [(UInt64, UInt64, Bool)])
  func control(value: UInt64, reads: UInt64, switchesOff: Bool) {
    let block = makeBlock()
    block.write(offset: 4, width: 2, value: value)
    #expect(block.read(offset: 4, width: 2) == reads)
    #expect(offs.values.count == (switchesOff ? 1 : 0))
  }

  @Test(arguments: 0...7 as ClosedRange<UInt8>)
  func otherSoftOffTypes(type: UInt8) {
    let block = makeBlock(isACPIEnabled: true, softOffType: type)
    #expect(block.read(offset: 4, width: 2) == 1)
    for other in 0...7 as ClosedRange<UInt64> where other != UInt64(type) {
      block.write(offset: 4, width: 2, value: 0x2001 | other << 10)
    }
    #expect(offs.values.isEmpty)
    block.write(offset: 4, width: 2, value: 0x2001 | UInt64(type) << 10)
    #expect(offs.values.count == 1)
  }

  @Test func enableKeepsTheBitsThatExistAndTheRestReadsAsZero() {
    let block = makeBlock()
    block.write(offset: 0, width: 4, value: 0xFFFF_FFFF)
    #expect(block.read(offset: 0, width: 4) == 0x0721_0000)
    for offset in [6, 7, 12, 0x20, 0x7F] as [UInt64] {
      block.write(offset: offset, width: 1, value: 0xFF)
      #expect(block.read(offset: offset, width: 1) == 0)
    }
    clock.nanoseconds = 1_000_000_000
    #expect(block.read(offset: 8, width: 4) == 3_579_545)
    #expect(block.read(offset: 9, width: 1) & 0xFF == 3_579_545 >> 8 & 0xFF)
  }
}
