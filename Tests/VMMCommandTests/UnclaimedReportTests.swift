import DeviceKit
import Devices
import Testing

@testable import VMMCommand

@Suite struct UnclaimedReportTests {
  private let report = UnclaimedReport()

  private func page(_ address: UInt64, reads: Int, writes: Int = 0) throws -> UnclaimedPage {
    // As a bus counts them.
    let bus = try MMIOBus([])
    for _ in 0..<reads { _ = bus.read(address: address, width: 4) }
    for _ in 0..<writes { bus.write(address: address, width: 4, value: 0) }
    return try #require(bus.unclaimedPages.first)
  }

  @Test func nothingIsSaidOfNothing() {
    report.add([], [], unlistedAccessCount: 0)
    #expect(report.lines.isEmpty)
  }

  /// Each once, with what all lives did.
  @Test func livesAreAddedUp() throws {
    for _ in 1...3 {
      report.add(
        [
          UnclaimedAccess(port: 0x61, isWrite: false, count: 2),
          UnclaimedAccess(port: 0x61, isWrite: true, count: 1),
        ], [try page(0xFED4_0000, reads: 1, writes: 4)], unlistedAccessCount: 0)
    }
    report.add(
      [UnclaimedAccess(port: 0x60, isWrite: true, count: 1)], [try page(0x8000_0000, reads: 1)],
      unlistedAccessCount: 0)
    #expect(
      report.lines == [
        "write to port 0x60: 1", "read of port 0x61: 6", "write to port 0x61: 3",
        "memory 0x80000000: 1 reads, 0 writes", "memory 0xfed40000: 3 reads, 12 writes",
      ])
  }

  /// A guest that reads every port in life after life.
  @Test func theLinesAreBounded() {
    for life in 0..<20 {
      report.add(
        (0..<1000).map { UnclaimedAccess(port: 0x1000 + $0, isWrite: false, count: 1) }
          + [UnclaimedAccess(port: 0xF000, isWrite: true, count: 1)],
        [], unlistedAccessCount: life == 0 ? 5 : 0)
    }
    let lines = report.lines
    #expect(lines.count == UnclaimedReport.lineLimit + 1)
    #expect(lines[0] == "read of port 0x1000: 20")
    #expect(lines[499] == "read of port 0x11f3: 20", "of ports used alike, the lowest")
    #expect(
      lines[500] == "left out: 501 ports and 0 pages used less, 10,025 accesses in all")
  }

  @Test func whatIsUsedMostIsKept() {
    report.add(
      (0..<600).map { UnclaimedAccess(port: $0, isWrite: false, count: UInt64($0) + 1) }, [],
      unlistedAccessCount: 0)
    let lines = report.lines
    #expect(lines.count == 501)
    #expect(lines[0] == "read of port 0x64: 101" && lines[499] == "read of port 0x257: 600")
    #expect(lines[500].hasPrefix("left out: 100 ports and 0 pages"))
  }

  /// Other ports in each life: what is remembered is bounded, too, and all accesses are accounted
  /// for.
  @Test func theMemoryIsBounded() {
    for life in 0..<4 as Range<UInt16> {
      report.add(
        (0..<4000).map { UnclaimedAccess(port: life * 4000 + $0, isWrite: false, count: 3) }, [],
        unlistedAccessCount: 0)
    }
    // 16,000 ports, of which 500 are listed.
    #expect(
      report.lines.last == "left out: 7,692 ports and 0 pages used less, 46,500 accesses in all")
  }
}
