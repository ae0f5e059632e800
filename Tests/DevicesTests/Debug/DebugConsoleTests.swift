import DeviceKit
import Devices
import TestSupport
import Testing

@Suite(.onVCPUThread) struct DebugConsoleTests {
  @Test func bytesArriveInOrder() throws {
    let text = Recorder<UInt8>()
    let bus = try PortBus([(DebugConsole.ports, DebugConsole { text.append($0) })])
    for byte in "zero\n\u{FF}".utf8 { bus.write(port: 0xE9, width: 1, value: UInt32(byte)) }
    #expect(text.values == Array("zero\n\u{FF}".utf8))
  }

  @Test(arguments: [1, 2, 4])
  func aWideWriteIsItsLowByteAndAReadIsE9(width: Int) throws {
    let text = Recorder<UInt8>()
    let bus = try PortBus([(DebugConsole.ports, DebugConsole { text.append($0) })])
    bus.write(port: 0xE9, width: width, value: 0x4443_4241)
    #expect(text.values == [0x41])
    #expect(bus.read(port: 0xE9, width: width) == 0xE9)
  }
}
