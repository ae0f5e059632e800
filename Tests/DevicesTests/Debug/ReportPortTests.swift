import DeviceKit
import Devices
import TestSupport
import Testing

@Suite(.onVCPUThread) struct ReportPortTests {
  struct Report: Equatable {
    let key: UInt32
    let value: UInt64
  }

  /// A bus with all debug devices, as a machine has it; only the reports are recorded.
  private static func makeBus(_ reports: Recorder<Report>) throws(BusError) -> PortBus {
    let port = ReportPort { reports.append(Report(key: $0, value: $1)) }
    return try PortBus(
      port.attachments + [
        (DebugConsole.ports, DebugConsole { _ in }), (ExitPort.ports, ExitPort { _ in }),
        (PortRange(start: 0xEC, count: 1), SignalPort { _ in }),
        (PortRange(start: 0xD8, count: 1), SignalPort { _ in }),
      ])
  }

  @Test func theKeyCommitsInOrder() throws {
    let reports = Recorder<Report>()
    let bus = try Self.makeBus(reports)
    bus.write(port: 0xE0, width: 4, value: 9)
    bus.write(port: 0xE4, width: 4, value: 0x5566_7788)
    bus.write(port: 0xE8, width: 4, value: 0x1122_3344)
    #expect(reports.values == [Report(key: 9, value: 0)])
    bus.write(port: 0xE0, width: 4, value: 0xFFFF_FFFF)
    // The halves in the other order, one of them twice.
    bus.write(port: 0xE8, width: 4, value: 5)
    bus.write(port: 0xE4, width: 4, value: 6)
    bus.write(port: 0xE8, width: 4, value: 0xFFFF_FFFF)
    bus.write(port: 0xE0, width: 4, value: 2)
    // Nothing written since: the same value again.
    bus.write(port: 0xE0, width: 4, value: 1)
    #expect(
      reports.values == [
        Report(key: 9, value: 0),
        Report(key: 0xFFFF_FFFF, value: 0x1122_3344_5566_7788),
        Report(key: 2, value: 0xFFFF_FFFF_0000_0006),
        Report(key: 1, value: 0xFFFF_FFFF_0000_0006),
      ])
    #expect(bus.unclaimedAccesses.isEmpty)
  }

  @Test(arguments: PortBusTests.widths)
  func narrowWritesAreZeroExtended(width: Int, mask: UInt32) throws {
    let reports = Recorder<Report>()
    let bus = try Self.makeBus(reports)
    for port in [0xE4, 0xE8] as [UInt16] { bus.write(port: port, width: 4, value: .max) }
    for port in [0xE4, 0xE8, 0xE0] as [UInt16] {
      bus.write(port: port, width: width, value: 0x89AB_CDEF)
    }
    let part = 0x89AB_CDEF & mask
    #expect(reports.values == [Report(key: part, value: UInt64(part) << 32 | UInt64(part))])
  }

  @Test(arguments: [0xE1, 0xE2, 0xE3, 0xE5, 0xE6, 0xE7, 0xE9, 0xEA, 0xEB] as [UInt16])
  func otherPortsAreNotTheReports(port: UInt16) throws {
    let reports = Recorder<Report>()
    let bus = try Self.makeBus(reports)
    bus.write(port: port, width: 4, value: 0x77)
    bus.write(port: 0xE0, width: 4, value: 1)
    #expect(reports.values == [Report(key: 1, value: 0)])
    let isConsole = port == 0xE9
    #expect(bus.read(port: port, width: 1) == (isConsole ? 0xE9 : 0xFF))
    #expect(bus.unclaimedAccesses.isEmpty == isConsole)
  }

  @Test(arguments: [0xE0, 0xE4, 0xE8] as [UInt16], PortBusTests.widths)
  func readsAreAllOnes(port: UInt16, width: (Int, UInt32)) throws {
    let reports = Recorder<Report>()
    let bus = try Self.makeBus(reports)
    #expect(bus.read(port: port, width: width.0) == width.1)
    #expect(reports.values.isEmpty)
    #expect(bus.unclaimedAccesses.isEmpty)
  }

  @Test func attachmentsMadeTwiceShareTheRegisters() throws {
    let reports = Recorder<Report>()
    let port = ReportPort { reports.append(Report(key: $0, value: $1)) }
    let first = try PortBus(port.attachments)
    let second = try PortBus(port.attachments)
    first.write(port: 0xE4, width: 4, value: 3)
    second.write(port: 0xE0, width: 4, value: 1)
    #expect(reports.values == [Report(key: 1, value: 3)])
  }
}
