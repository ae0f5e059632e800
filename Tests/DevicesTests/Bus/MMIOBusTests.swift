import TestSupport
import Testing

@testable import DeviceKit
@testable import Devices

@Suite(.onVCPUThread) struct MMIOBusTests {
  private static let range = MMIORange(start: 0xFED0_0000, byteCount: 0x1000)

  @Test(arguments: [1, 2, 4, 8])
  func valuesAreCutToTheWidth(width: Int) throws {
    let device = RecordingDevice(answer: 0x89AB_CDEF_0123_4567)
    let bus = try MMIOBus([(Self.range, device)])
    let mask: UInt64 = .max >> UInt64(64 - 8 * width)
    #expect(bus.read(address: 0xFED0_0008, width: width) == 0x89AB_CDEF_0123_4567 & mask)
    bus.write(address: 0xFED0_0FFF, width: width, value: 0x1122_3344_5566_7788)
    #expect(
      device.calls == [
        .read(offset: 8, width: width),
        .write(offset: 0xFFF, width: width, value: 0x1122_3344_5566_7788 & mask),
      ])
    #expect(bus.unclaimedPages.isEmpty)
  }

  /// KVM cuts at page borders; a device sees powers of two only.
  @Test(
    arguments: [
      (3, [(0, 2, 0x7788), (2, 1, 0x66)]), (5, [(0, 4, 0x5566_7788), (4, 1, 0x44)]),
      (6, [(0, 4, 0x5566_7788), (4, 2, 0x3344)]),
      (7, [(0, 4, 0x5566_7788), (4, 2, 0x3344), (6, 1, 0x22)]),
    ] as [(Int, [(UInt64, Int, UInt64)])])
  func oddWidthsAreSplit(width: Int, pieces: [(UInt64, Int, UInt64)]) throws {
    let device = RecordingDevice(answer: 0xA5)
    let bus = try MMIOBus([(Self.range, device)])
    bus.write(address: 0xFED0_0000, width: width, value: 0x1122_3344_5566_7788)
    #expect(device.calls == pieces.map { .write(offset: $0.0, width: $0.1, value: $0.2) })
    let expected = pieces.reduce(UInt64(0)) { $0 | 0xA5 << ($1.0 * 8) }
    #expect(bus.read(address: 0xFED0_0000, width: width) == expected)
  }

  @Test(arguments: 1...8)
  func unclaimedAddressesReadAsAllOnesAndDropWrites(width: Int) throws {
    let device = RecordingDevice()
    let bus = try MMIOBus([(Self.range, device)])
    let ones: UInt64 = .max >> UInt64(64 - 8 * width)
    for address in [0, 0xFECF_FFF0, 0xFED0_1000, 1 << 52, .max] as [UInt64] {
      #expect(bus.read(address: address, width: width) == ones, "0x\(String(address, radix: 16))")
      bus.write(address: address, width: width, value: 0)
    }
    #expect(device.calls.isEmpty)
  }

  @Test func unclaimedAccessesAreCountedPerPage() throws {
    let bus = try MMIOBus([(Self.range, RecordingDevice())])
    _ = bus.read(address: 0xFED4_0030, width: 4)
    _ = bus.read(address: 0xFED4_0F00, width: 1)
    bus.write(address: 0xFED4_0000, width: 8, value: 0)
    bus.write(address: 0xA_0000, width: 1, value: 0)
    #expect(
      bus.unclaimedPages.map(\.description) == [
        "memory 0xa0000: 0 reads, 1 writes", "memory 0xfed40000: 2 reads, 1 writes",
      ])
  }

  @Test func theListOfPagesIsBounded() throws {
    let bus = try MMIOBus([])
    let bound = UInt64(UnclaimedPages.maximumCount)
    // From the last page to the first, which is the most work.
    for page in (0..<bound).reversed() { bus.write(address: page << 12, width: 4, value: 0) }
    for page in bound..<(bound + 10) { bus.write(address: page << 12, width: 4, value: 0) }
    // A page already listed is still counted.
    _ = bus.read(address: 0, width: 1)
    #expect(bus.unclaimedPages.map(\.address) == (0..<4096).map { $0 << 12 })
    #expect(bus.unclaimedPages.first == UnclaimedPage(address: 0, readCount: 1, writeCount: 1))
    #expect(bus.unclaimedPages.last?.address == 4095 << 12)
    #expect(bus.unlistedAccessCount == 10)
  }

  @Test func theFirstByteDecides() throws {
    let low = RecordingDevice()
    let high = RecordingDevice()
    let bus = try MMIOBus([
      (MMIORange(start: .max, byteCount: 1), high), (MMIORange(start: 16, byteCount: 16), low),
    ])
    bus.write(address: 31, width: 8, value: 1)
    _ = bus.read(address: 15, width: 8)
    bus.write(address: .max, width: 4, value: 2)
    #expect(low.calls == [.write(offset: 15, width: 8, value: 1)])
    #expect(high.calls == [.write(offset: 0, width: 4, value: 2)])
    #expect(bus.unclaimedPages.map(\.address) == [0])
  }

  @Test func overlapIsAnError() {
    let error = #expect(throws: BusError.self) {
      try MMIOBus([
        (MMIORange(start: 0x1FFF, byteCount: 2), RecordingDevice()),
        (MMIORange(start: 0x1000, byteCount: 0x1000), ExitPort { _ in }),
      ])
    }
    #expect(
      error?.description
        == "cannot attach RecordingDevice at memory 0x1fff to 0x2000: ExitPort has "
        + "memory 0x1000 to 0x1fff; give each device addresses of its own")
    #expect(throws: Never.self) {
      try MMIOBus([
        (MMIORange(start: 0x2000, byteCount: 1), RecordingDevice()),
        (MMIORange(start: 0x1000, byteCount: 0x1000), RecordingDevice()),
      ])
    }
  }

  @Test(
    arguments: [
      (0, 1, 0), (0, UInt64.max, UInt64.max - 1), (1, .max, .max), (.max, 1, .max),
    ] as [(UInt64, UInt64, UInt64)])
  func lastAddress(start: UInt64, byteCount: UInt64, last: UInt64) {
    let range = MMIORange(start: start, byteCount: byteCount)
    #expect(range.last == last)
    #expect(range.contains(start) && range.contains(last))
    #expect(last == .max || !range.contains(last + 1))
    #expect(range.overlaps(MMIORange(start: last, byteCount: 1)))
  }
}

/// In processes of their own, which a vCPU's thread may not make.
@Suite struct MMIOBusTrapTests {
  @Test func impossibleRangesAndWidthsTrap() async {
    await #expect(processExitsWith: .failure) { _ = MMIORange(start: 5, byteCount: 0) }
    await #expect(processExitsWith: .failure) { _ = MMIORange(start: .max, byteCount: 2) }
    await #expect(processExitsWith: .failure) {
      _ = try MMIOBus([]).read(address: 0, width: 9)
    }
    await #expect(processExitsWith: .failure) {
      try MMIOBus([]).write(address: 0, width: 0, value: 0)
    }
  }

  @Test("what no device claims the decoder may answer, and only that; the rest is counted")
  func decoder() throws {
    let decoder = MovedDevice(start: 0x9000_0000, count: 0x1000)
    let bus = try MMIOBus(
      [(MMIORange(start: 0x9000_0800, byteCount: 8), RecordingDevice())], decoder: decoder)
    #expect(bus.read(address: 0x9000_0010, width: 4) == 0xAB10)
    bus.write(address: 0x9000_0FFD, width: 3, value: 0x1_2345)
    #expect(decoder.writes == [[0xFFD, 2, 0x2345], [0xFFF, 1, 1]])
    bus.write(address: 0x9000_0800, width: 4, value: 1)
    #expect(decoder.writes.count == 2)
    #expect(bus.unclaimedPages.isEmpty)
    decoder.start = 0xF_FFFF_F000
    #expect(bus.read(address: 0x9000_0010, width: 8) == .max)
    #expect(bus.read(address: 0xF_FFFF_F010, width: 4) == 0xAB10)
    bus.write(address: 0x9000_0010, width: 1, value: 1)
    #expect(bus.unclaimedPages.map(\.description) == ["memory 0x90000000: 1 reads, 1 writes"])
  }
}
