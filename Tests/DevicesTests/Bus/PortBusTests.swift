import DeviceKit
import Devices
import TestSupport
import Testing

@Suite(.onVCPUThread) struct PortBusTests {
  /// Width and the bits it carries.
  static let widths: [(Int, UInt32)] = [(1, 0xFF), (2, 0xFFFF), (4, 0xFFFF_FFFF)]

  @Test(arguments: widths)
  func valuesAreCutToTheWidth(width: Int, mask: UInt32) throws {
    let device = RecordingDevice(answer: 0x89AB_CDEF)
    let bus = try PortBus([(PortRange(start: 0x100, count: 8), device)])
    #expect(bus.read(port: 0x103, width: width) == 0x89AB_CDEF & mask)
    bus.write(port: 0x104, width: width, value: 0x1234_5678)
    #expect(
      device.calls == [
        .read(offset: 3, width: width),
        .write(offset: 4, width: width, value: UInt64(0x1234_5678 & mask)),
      ])
    #expect(bus.unclaimedAccesses.isEmpty)
  }

  @Test(arguments: widths)
  func unclaimedPortsReadAsAllOnesAndDropWrites(width: Int, mask: UInt32) throws {
    let device = RecordingDevice()
    let bus = try PortBus([(PortRange(start: 0x10, count: 1), device)])
    #expect(bus.read(port: 0x11, width: width) == mask)
    bus.write(port: 0x11, width: width, value: 1)
    #expect(device.calls.isEmpty)
    #expect(
      bus.unclaimedAccesses == [
        UnclaimedAccess(port: 0x11, isWrite: false, count: 1),
        UnclaimedAccess(port: 0x11, isWrite: true, count: 1),
      ])
  }

  /// All ports in both directions, as probing guests do.
  @Test func aStormOfPortsIsCounted() throws {
    let bus = try PortBus([(PortRange(start: 0x10, count: 1), RecordingDevice())])
    for _ in 0..<3 {
      for port in UInt16.min...UInt16.max {
        _ = bus.read(port: port, width: 1)
        bus.write(port: port, width: 1, value: 0)
      }
    }
    let accesses = bus.unclaimedAccesses
    #expect(accesses.count == 2 * 65535)
    #expect(accesses.allSatisfy { $0.count == 3 })
    #expect(accesses.first == UnclaimedAccess(port: 0, isWrite: false, count: 3))
    #expect(accesses.last == UnclaimedAccess(port: 0xFFFF, isWrite: true, count: 3))
  }

  @Test(arguments: [1, 2, 4])
  func theFirstPortDecides(width: Int) throws {
    let low = RecordingDevice()
    let high = RecordingDevice()
    let bus = try PortBus([
      (PortRange(start: 0x104, count: 1), high), (PortRange(start: 0x100, count: 4), low),
    ])
    // From the last port of one device into the next: the first device's alone.
    bus.write(port: 0x103, width: width, value: 7)
    // Past the end of all claims.
    bus.write(port: 0x104, width: width, value: 8)
    // From an unclaimed port into a claimed one: unclaimed.
    #expect(bus.read(port: 0xFF, width: width) & 0xFF == 0xFF)
    #expect(low.calls == [.write(offset: 3, width: width, value: 7)])
    #expect(high.calls == [.write(offset: 0, width: width, value: 8)])
    #expect(bus.unclaimedAccesses == [UnclaimedAccess(port: 0xFF, isWrite: false, count: 1)])
  }

  @Test(arguments: widths)
  func theLastPortWorksAtEveryWidth(width: Int, mask: UInt32) throws {
    let device = RecordingDevice(answer: 5)
    let claimed = try PortBus([(PortRange(start: 0xFFFF, count: 1), device)])
    #expect(claimed.read(port: 0xFFFF, width: width) == 5)
    claimed.write(port: 0xFFFF, width: width, value: 6)
    #expect(claimed.read(port: 0xFFFE, width: width) == mask)
    #expect(
      device.calls == [
        .read(offset: 0, width: width), .write(offset: 0, width: width, value: 6),
      ])
    let empty = try PortBus([])
    #expect(empty.read(port: 0xFFFF, width: width) == mask)
    #expect(empty.unclaimedAccesses == [UnclaimedAccess(port: 0xFFFF, isWrite: false, count: 1)])
  }

  @Test func everyPortFindsItsDevice() throws {
    let starts: [UInt16] = [0, 1, 0x70, 0xE9, 0x3F8, 0xCF8, 0xFFF0]
    let counts: [UInt16] = [1, 3, 2, 1, 8, 8, 16]
    let devices = starts.indices.map { RecordingDevice(answer: UInt64($0)) }
    let claims = starts.indices.map {
      (PortRange(start: starts[$0], count: counts[$0]), devices[$0] as any BusDevice)
    }
    let bus = try PortBus(claims.reversed())
    var wrong: [UInt16] = []
    for port in UInt16.min...UInt16.max {
      let owner = claims.firstIndex { $0.0.contains(port) }
      if bus.read(port: port, width: 1) != owner.map({ UInt32($0) }) ?? 0xFF { wrong.append(port) }
    }
    #expect(wrong.isEmpty)
    for index in devices.indices {
      #expect(
        devices[index].calls == (0..<UInt64(counts[index])).map { .read(offset: $0, width: 1) },
        "device at \(claims[index].0)")
    }
    // All others once: the list is as long as the port space at most.
    #expect(bus.unclaimedAccesses.count == 65536 - counts.reduce(0) { $0 + Int($1) })
  }

  @Test func oneDeviceMayHaveSeveralRanges() throws {
    let device = RecordingDevice()
    let bus = try PortBus([
      (PortRange(start: 0x70, count: 2), device), (PortRange(start: 0x74, count: 2), device),
    ])
    bus.write(port: 0x71, width: 1, value: 1)
    bus.write(port: 0x75, width: 1, value: 2)
    _ = bus.read(port: 0x72, width: 1)
    #expect(
      device.calls == [
        .write(offset: 1, width: 1, value: 1), .write(offset: 1, width: 1, value: 2),
      ])
    #expect(bus.unclaimedAccesses.map(\.port) == [0x72])
  }

  @Test func unclaimedAccessesAreCountedPerPortAndDirectionAscending() throws {
    let bus = try PortBus([])
    for port in [0xFFFF, 0x61, 0, 0x61] as [UInt16] {
      bus.write(port: port, width: 1, value: 0)
      _ = bus.read(port: port, width: 4)
      _ = bus.read(port: port, width: 2)
    }
    #expect(
      bus.unclaimedAccesses.map(\.description) == [
        "read of port 0x0: 2", "write to port 0x0: 1", "read of port 0x61: 4",
        "write to port 0x61: 2", "read of port 0xffff: 2", "write to port 0xffff: 1",
      ])
  }
}

/// With threads and processes, which a vCPU's thread may not make.
@Suite struct PortBusConcurrencyTests {
  @Test func noCountIsLostBetweenThreads() async throws {
    let device = RecordingDevice()
    let bus = try PortBus([(PortRange(start: 1, count: 1), device)])
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<8 {
        group.addTask {
          for _ in 0..<1000 {
            bus.write(port: 0, width: 1, value: 0)
            bus.write(port: 1, width: 1, value: 0)
          }
        }
      }
    }
    #expect(bus.unclaimedAccesses == [UnclaimedAccess(port: 0, isWrite: true, count: 8000)])
    #expect(device.calls.count == 8000)
  }

  @Test func anImpossibleWidthTraps() async {
    await #expect(processExitsWith: .failure) {
      _ = try PortBus([]).read(port: 0, width: 3)
    }
    await #expect(processExitsWith: .failure) {
      try PortBus([]).write(port: 0, width: 8, value: 0)
    }
  }

  @Test("what no device claims the decoder may answer, and only that; the rest is counted")
  func decoder() throws {
    let device = RecordingDevice()
    let decoder = MovedDevice(start: 0x100, count: 0x40)
    let bus = try PortBus([(PortRange(start: 0x110, count: 4), device)], decoder: decoder)
    #expect(bus.read(port: 0x108, width: 4) == 0xAB08)
    #expect(bus.read(port: 0x108, width: 1) == 0x08)
    bus.write(port: 0x13F, width: 2, value: 0x1_2345)
    #expect(decoder.writes == [[0x3F, 2, 0x2345]])
    _ = bus.read(port: 0x111, width: 1)
    bus.write(port: 0x113, width: 1, value: 1)
    #expect(decoder.writes.count == 1)
    #expect(bus.unclaimedAccesses.isEmpty)
    decoder.start = 0x108
    #expect(bus.read(port: 0x100, width: 2) == 0xFFFF)
    bus.write(port: 0x100, width: 1, value: 1)
    #expect(
      bus.unclaimedAccesses.map(\.description) == [
        "read of port 0x100: 1", "write to port 0x100: 1",
      ])
  }
}
