import Devices
import TestSupport
import Testing

@Suite(.onVCPUThread) struct ResetTests {
  /// Written to 0xCF9, read back, resets.
  @Test(
    arguments: [
      (0x00, 0x00, false), (0x02, 0x02, false), (0x06, 0x06, true), (0x0E, 0x0E, true),
      (0x04, 0x04, true), (0x08, 0x08, false), (0xF1, 0x00, false), (0xFB, 0x0A, false),
    ] as [(UInt64, UInt64, Bool)])
  func resetControl(value: UInt64, reads: UInt64, resets: Bool) {
    let calls = Recorder<Bool>()
    let device = ResetControl { calls.append(true) }
    device.write(offset: 0, width: 1, value: value)
    #expect(device.read(offset: 0, width: 1) == reads)
    #expect(calls.values.count == (resets ? 1 : 0))
  }

  /// Written to 0x92, read back, resets.
  @Test(
    arguments: [
      (0x00, 0, false), (0x02, 2, false), (0x01, 0, true), (0x03, 2, true), (0xFC, 0, false),
    ]
      as [(UInt64, UInt64, Bool)])
  func systemControlPort(value: UInt64, reads: UInt64, resets: Bool) {
    let calls = Recorder<Bool>()
    let device = SystemControlPort { calls.append(true) }
    #expect(device.read(offset: 0, width: 1) == 2)
    device.write(offset: 0, width: 1, value: value)
    #expect(device.read(offset: 0, width: 1) == reads)
    #expect(calls.values.count == (resets ? 1 : 0))
  }
}
