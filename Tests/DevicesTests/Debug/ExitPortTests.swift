import DeviceKit
import Devices
import TestSupport
import Testing

@Suite(.onVCPUThread) struct ExitPortTests {
  @Test(arguments: PortBusTests.widths)
  func theCodeIsTheValueAndAReadIsAllOnes(width: Int, mask: UInt32) throws {
    let codes = Recorder<UInt32>()
    let bus = try PortBus([(ExitPort.ports, ExitPort { codes.append($0) })])
    bus.write(port: 0xF4, width: width, value: 0)
    bus.write(port: 0xF4, width: width, value: 0xDEAD_BEEF)
    #expect(codes.values == [0, 0xDEAD_BEEF & mask])
    #expect(bus.read(port: 0xF4, width: width) == mask)
    #expect(codes.values.count == 2)
  }
}
