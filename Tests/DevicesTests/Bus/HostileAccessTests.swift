import DeviceKit
import Devices
import TestSupport
import Testing

/// Every device, whatever offset, width and value the guest chooses: none may trap.
@Suite(.onVCPUThread) struct HostileAccessTests {
  private static func devices() -> [(String, any BusDevice)] {
    let clock = ManualClock(1_700_000_000_123_456_789)
    let tick: @Sendable () -> Int64 = {
      clock.advance(by: 7_777_777_777)
      return clock.nanoseconds
    }
    let timer = PMTimer { UInt64(tick()) }
    let keyboard = KeyboardController(
      keyboardLine: RecordingLine(), mouseLine: RecordingLine()
    ) {}.attachments
    return [
      ("UART16550", UART16550(line: RecordingLine()) { _ in }),
      ("RealTimeClock", RealTimeClock(line: RecordingLine(), nanosecondsSince1970: tick)),
      ("PMTimer", timer),
      ("PowerManagement", PowerManagement(timer: timer, line: RecordingLine()) {}),
      ("ResetControl", ResetControl {}), ("SystemControlPort", SystemControlPort {}),
      ("keyboard data", keyboard[0].1), ("keyboard command", keyboard[1].1),
      ("DebugConsole", DebugConsole { _ in }), ("ExitPort", ExitPort { _ in }),
      ("SignalPort", SignalPort { _ in }),
    ]
  }

  private static let widths = [1, 2, 4, 8]
  private static let edges: [UInt64] = [
    0, 1, 0x55, 0x7F, 0x80, 0xAA, 0xFF, 0xFFFF, 0x8000_0000, 0xFFFF_FFFF, 0x0123_4567_89AB_CDEF,
    .max,
  ]

  @Test func allOffsetsWidthsAndPatterns() {
    let offsets = Array(0...0x80 as ClosedRange<UInt64>) + [0xFFFF, 1 << 32, .max - 1, .max]
    for (name, device) in Self.devices() {
      for offset in offsets {
        for width in Self.widths {
          for value in Self.edges {
            device.write(offset: offset, width: width, value: value)
            _ = device.read(offset: offset, width: width)
          }
        }
      }
      #expect(!name.isEmpty)
    }
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func randomSequences(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    for (name, device) in Self.devices() {
      for _ in 0..<5000 {
        let offset =
          generator.next() % 8 == 0 ? generator.nextOfAnyMagnitude() : generator.next() % 16
        let width = Self.widths[Int(generator.next() % 4)]
        if generator.next() % 2 == 0 {
          device.write(offset: offset, width: width, value: generator.nextOfAnyMagnitude())
        } else {
          let value = device.read(offset: offset, width: width)
          if name == "keyboard command" && offset == 0 {
            #expect(value & 0xFF != 0xFF, "seed \(seed): the status says there is no controller")
          }
        }
      }
    }
  }

  /// Indexed registers hide behind two ports: go through all 256 × 256.
  @Test func everyClockRegisterTakesEveryValue() {
    let clock = ManualClock()
    let device = RealTimeClock { clock.nanoseconds }
    for control in [0x00, 0x02, 0x04, 0x06, 0x80, 0x86] as [UInt64] {
      device.write(offset: 0, width: 1, value: 0x0B)
      device.write(offset: 1, width: 1, value: control)
      for index in 0..<0x100 as Range<UInt64> where index & 0x7F != 0x0B {
        for value in 0..<0x100 as Range<UInt64> {
          clock.advance(by: 333_333_333)
          device.write(offset: 0, width: 1, value: index)
          device.write(offset: 1, width: 1, value: value)
          _ = device.read(offset: 1, width: 1)
        }
      }
    }
    device.write(offset: 0, width: 1, value: 0x0D)
    #expect(device.read(offset: 1, width: 1) == 0x80)
  }
}
