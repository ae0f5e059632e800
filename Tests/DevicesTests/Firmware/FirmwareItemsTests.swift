import TestSupport
import Testing

@testable import Devices

@Suite struct FirmwareItemsTests {
  private func items() -> FirmwareItems {
    FirmwareItems(vcpuCount: 3, memoryByteCount: 0x1_2345_6000, uuid: Array(1...16))
  }

  @Test("items with fixed numbers")
  func fixed() {
    let items = items()
    #expect(items[0x00] == Array("QEMU".utf8))
    #expect(items[0x01] == [3, 0, 0, 0], "ports and DMA")
    #expect(items[0x02] == Array(1...16))
    #expect(items[0x03] == [0x00, 0x60, 0x45, 0x23, 1, 0, 0, 0])
    #expect(items[0x05] == [3, 0] && items[0x0F] == [3, 0])
    for none: UInt16 in [0x08, 0x0B, 0x0E, 0x14, 0x17, 0x20, 0x8000, .max] {
      #expect(items[none].isEmpty)
    }
  }

  @Test("the directory: big-endian, by name, with numbers by which the files are found")
  func directory() throws {
    var items = items()
    #expect(items[0x19] == [0, 0, 0, 0])
    try items.add("opt/b", [1, 2, 3])
    try items.add("etc/a", [UInt8](repeating: 7, count: 300))
    let directory = items[0x19]
    #expect(directory.count == 4 + 2 * 64)
    #expect(Array(directory[0..<4]) == [0, 0, 0, 2])
    #expect(Array(directory[4..<12]) == [0, 0, 1, 44, 0, 0x21, 0, 0], "etc/a, 300 bytes, 0x21")
    #expect(Array(directory[12..<18]) == Array("etc/a".utf8) + [0])
    #expect(Array(directory[68..<76]) == [0, 0, 0, 3, 0, 0x20, 0, 0])
    #expect(items[0x20] == [1, 2, 3] && items[0x21].count == 300)
  }

  @Test(
    "names that no firmware could find",
    arguments: [
      "", "a b", "é", String(repeating: "x", count: 56), "tab\t",
    ])
  func names(name: String) throws {
    var items = items()
    #expect(throws: FirmwareItemError.name(name, maximumByteCount: 55)) { try items.add(name, []) }
  }

  @Test("the longest name, a name twice, and a full directory")
  func limits() throws {
    var items = items()
    try items.add(String(repeating: "x", count: 55), [])
    #expect(throws: FirmwareItemError.taken(String(repeating: "x", count: 55))) {
      try items.add(String(repeating: "x", count: 55), [1])
    }
    let large = [UInt8](repeating: 0, count: FirmwareItems.maximumFileByteCount + 1)
    #expect(throws: FirmwareItemError.tooLarge("y", byteCount: large.count)) {
      try items.add("y", large)
    }
  }

  @Test("late files: lengths at once, contents once one of them is chosen, all at the same time")
  func late() throws {
    var items = items()
    let calls = Recorder<Int>()
    try items.addLate([("etc/one", 4), ("etc/two", 2)]) {
      calls.append(1)
      return [[1, 2], [3, 4, 5]]
    }
    try items.add("etc/three", [9])
    let directory = items[0x19]
    #expect(Array(directory[4..<10]) == [0, 0, 0, 4, 0, 0x20])
    #expect(items[0x20].isEmpty && items[0x21].isEmpty && items[0x22] == [9])
    items.complete(0x22)
    items.complete(0x7777)
    #expect(calls.values.isEmpty)
    for selector: UInt16 in [0x21, 0x20, 0x21] { items.complete(selector) }
    #expect(calls.values == [1])
    #expect(items[0x20] == [1, 2, 0, 0] && items[0x21] == [3, 4])
    #expect(items[0x19] == directory)
    #expect(throws: FirmwareItemError.taken("etc/two")) {
      try items.addLate([("etc/four", 1), ("etc/two", 1)]) { [] }
    }
  }
}
