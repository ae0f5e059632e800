import DeviceKit
import Devices
import Testing

@Suite struct BusErrorTests {
  private static func bus(_ ranges: [(UInt16, UInt16)]) throws(BusError) -> PortBus {
    let devices = ranges.map {
      (PortRange(start: $0.0, count: $0.1), RecordingDevice() as any BusDevice)
    }
    return try PortBus(devices)
  }

  @Test(
    arguments: [
      [], [(0, 1)], [(0, 1), (1, 1)], [(1, 1), (0, 1)], [(0xFFFF, 1), (0, 0xFFFF)],
      [(0xE8, 1), (0xE9, 1), (0xE4, 1), (0xE0, 1)],
    ] as [[(UInt16, UInt16)]])
  func disjointRangesAttach(ranges: [(UInt16, UInt16)]) {
    #expect(throws: Never.self) { try Self.bus(ranges) }
  }

  /// The ranges, and the indices of the two that the error names, lower first.
  @Test(
    arguments: [
      ([(5, 1), (5, 1)], 0, 1), ([(5, 4), (8, 1)], 0, 1), ([(8, 1), (5, 4)], 1, 0),
      ([(0, 0xFFFF), (0x70, 2)], 0, 1), ([(0xFFFF, 1), (0xFFFE, 2)], 1, 0),
      ([(0, 100), (200, 1), (50, 1)], 0, 2), ([(0, 1), (10, 5), (20, 1), (14, 2)], 1, 3),
    ] as [([(UInt16, UInt16)], Int, Int)])
  func overlapNamesBoth(ranges: [(UInt16, UInt16)], lower: Int, upper: Int) {
    let expected = BusError.overlap(
      lower: PortRange(start: ranges[lower].0, count: ranges[lower].1),
      lowerDevice: "RecordingDevice",
      upper: PortRange(start: ranges[upper].0, count: ranges[upper].1),
      upperDevice: "RecordingDevice")
    #expect(throws: expected) { try Self.bus(ranges) }
  }

  @Test func theTextNamesDevicesAndPorts() {
    let error = #expect(throws: BusError.self) {
      try PortBus([
        (PortRange(start: 0xE0, count: 12), RecordingDevice()),
        (DebugConsole.ports, DebugConsole { _ in }),
      ])
    }
    #expect(
      error?.description
        == "cannot attach DebugConsole at port 0xe9: RecordingDevice has ports 0xe0 to 0xeb; "
        + "give each device ports of its own")
  }
}
