import DeviceKit
import Devices
import TestSupport
import Testing

@Suite(.onVCPUThread) struct SignalPortTests {
  @Test(arguments: PortBusTests.widths)
  func everyWriteIsASignalAndAReadIsAllOnes(width: Int, mask: UInt32) throws {
    let signals = Recorder<UInt32>()
    let port = SignalPort { signals.append($0) }
    let bus = try PortBus([
      (PortRange(start: 0xEC, count: 1), port), (PortRange(start: 0xD8, count: 2), port),
    ])
    bus.write(port: 0xEC, width: width, value: 0xFFFF_FFFE)
    bus.write(port: 0xD8, width: width, value: 1)
    bus.write(port: 0xD9, width: width, value: 1)
    #expect(signals.values == [0xFFFF_FFFE & mask, 1, 1])
    #expect(bus.read(port: 0xEC, width: width) == mask)
    #expect(signals.values.count == 3)
  }
}
