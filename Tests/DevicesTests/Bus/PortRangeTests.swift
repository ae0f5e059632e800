import DeviceKit
import Devices
import Testing

@Suite struct PortRangeTests {
  @Test(
    arguments: [
      (0, 1, 0, "port 0x0"), (0x70, 2, 0x71, "ports 0x70 to 0x71"),
      (0xFFFF, 1, 0xFFFF, "port 0xffff"), (0, 0xFFFF, 0xFFFE, "ports 0x0 to 0xfffe"),
      (1, 0xFFFF, 0xFFFF, "ports 0x1 to 0xffff"),
    ] as [(UInt16, UInt16, UInt16, String)])
  func lastPortAndText(start: UInt16, count: UInt16, last: UInt16, text: String) {
    let range = PortRange(start: start, count: count)
    #expect(range.last == last)
    #expect(range.description == text)
    #expect(range.contains(start))
    #expect(range.contains(last))
    #expect(start == 0 || !range.contains(start - 1))
    #expect(last == 0xFFFF || !range.contains(last + 1))
  }

  @Test(
    arguments: [
      (10, 4, 14, 1, false), (10, 4, 13, 1, true), (10, 4, 9, 1, false), (10, 4, 9, 2, true),
      (10, 4, 10, 4, true), (10, 4, 11, 2, true), (10, 4, 0, 0xFFFF, true),
      (0xFFFF, 1, 0xFFFE, 1, false), (0xFFFF, 1, 0xFFFE, 2, true),
    ] as [(UInt16, UInt16, UInt16, UInt16, Bool)])
  func overlapIsSymmetric(a: UInt16, aCount: UInt16, b: UInt16, bCount: UInt16, expected: Bool) {
    let left = PortRange(start: a, count: aCount)
    let right = PortRange(start: b, count: bCount)
    #expect(left.overlaps(right) == expected)
    #expect(right.overlaps(left) == expected)
  }

  @Test func noPortsTrap() async {
    await #expect(processExitsWith: .failure) { _ = PortRange(start: 5, count: 0) }
  }

  @Test func portsPastTheEndTrap() async {
    await #expect(processExitsWith: .failure) { _ = PortRange(start: 0xFFFF, count: 2) }
    await #expect(processExitsWith: .failure) { _ = PortRange(start: 2, count: 0xFFFF) }
  }
}
