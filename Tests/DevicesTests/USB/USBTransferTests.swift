import Bytes
import DeviceKit
import GuestMemory
import TestSupport
import Testing

@testable import Devices

/// Control and interrupt transfers.
struct USBTransferTests {
  private typealias Driver = USBTestDriver

  /// A driver and a slot with the tablet, configured.
  private static func tablet() throws -> (Driver, Int) {
    let driver = try Driver([.tablet])
    try driver.takeConnections(1)
    return (driver, try driver.configure(port: 1))
  }

  private static func move(_ driver: Driver, _ x: Int, buttons: PointerButtons = []) -> Bool {
    driver.controller.engine.inputs.take(
      .pointer(PointerState(x: x, y: 0, width: 32_768, height: 32_768, buttons: buttons)))
  }

  @Test("what a device says of itself, whole and in part")
  func descriptors() throws {
    let (driver, slot) = try Self.tablet()
    let device: [UInt8] = [
      18, 1, 0, 2, 0, 0, 0, 64, 0x6B, 0x1D, 1, 0, 0, 1, 1, 2, 3, 1,
    ]
    for count: UInt16 in [8, 18, 64] {
      #expect(
        try driver.request(slot, 0x8006, value: 0x100, byteCount: count)
          == (.success, Array(device.prefix(Int(count)))))
    }
    let all = try driver.request(slot, 0x8006, value: 0x200, byteCount: 255).data
    #expect(all.count == 34)
    #expect(Array(all[..<9]) == [9, 2, 34, 0, 1, 1, 0, 0xA0, 50])
    #expect(Array(all[9..<18]) == [9, 4, 0, 0, 1, 3, 0, 0, 0])
    #expect(Array(all[27...]) == [7, 5, 0x81, 3, 8, 0, 4])
    // The HID descriptor names the report's, which is as long as it says.
    let report = try driver.request(slot, 0x8106, value: 0x2200, byteCount: 255).data
    #expect(Array(all[18..<27]) == [9, 0x21, 0x11, 1, 0, 1, 0x22, UInt8(report.count), 0])
    #expect(report.prefix(4) == [5, 1, 9, 2] && report.suffix(2) == [0xC0, 0xC0])
    #expect(
      try driver.request(slot, 0x8006, value: 0x302, byteCount: 255).data
        == [22, 3] + Array("USB Tablet".utf8).flatMap { [$0, 0] })
    #expect(try driver.request(slot, 0x8006, value: 0x300, byteCount: 4).data == [4, 3, 9, 4])
  }

  @Test("requests that there are not stall; the endpoint halts until it is reset")
  func stalls() throws {
    let (driver, slot) = try Self.tablet()
    for (number, value): (UInt16, UInt16) in [
      // Microsoft's string, a device qualifier, a BOS; a vendor's; a boot protocol of a tablet.
      (0x8006, 0x3EE), (0x8006, 0x600), (0x8006, 0xF00), (0xC012, 0), (0xA103, 0),
    ] {
      #expect(try driver.request(slot, number, value: value, byteCount: 16).code == .stall)
      #expect(try driver.context(slot, 1, word: 0) == 2)
      try driver.recover(slot, 1)
    }
    for (number, value): (UInt16, UInt16) in [(0x0009, 2), (0x0005, 3), (0x210B, 0), (0x010B, 1)] {
      #expect(try driver.request(slot, number, value: value).code == .stall)
      try driver.recover(slot, 1)
    }
    #expect(try driver.request(slot, 0x8008, byteCount: 1) == (.success, [1]))
  }

  @Test("stages out of order, and of the wrong shape")
  func wrongStages() throws {
    let (driver, slot) = try Self.tablet()
    let get: UInt64 = 0x0012_0000_0100_0680
    for hostile in 0..<6 {
      switch hostile {
      case 0: try driver.put(.statusStage, flags: 1 << 5, slot: slot, endpoint: 1)
      case 1: try driver.put(.dataStage, Driver.data, status: 8, slot: slot, endpoint: 1)
      case 2: try driver.put(.setupStage, get, status: 8, slot: slot, endpoint: 1)
      case 3: try driver.put(.setupStage, get, status: 7, flags: 1 << 6, slot: slot, endpoint: 1)
      case 4: try driver.put(.init(rawValue: 5), slot: slot, endpoint: 1)
      default:
        // No RAM for the data.
        try driver.put(.setupStage, get, status: 8, flags: 1 << 6, slot: slot, endpoint: 1)
        try driver.put(
          .dataStage, 0 &- 4, status: 18, flags: 1 << 16, slot: slot, endpoint: 1)
      }
      driver.ringBell(slot, 1)
      let event = try driver.nextEvent()
      #expect(event.code == .requestError && event.endpoint == 1)
      #expect(try driver.context(slot, 1, word: 0) == 4)
      // A bell means nothing now.
      driver.ringBell(slot, 1)
      let ring = try #require(driver.endpoints[Driver.ring(slot, 1)])
      #expect(
        try driver.run(.setDequeuePointer, ring.value, slot: slot, endpoint: 1).code == .success)
    }
    // The other direction.
    try driver.put(.setupStage, get, status: 8, flags: 1 << 6, slot: slot, endpoint: 1)
    try driver.put(.dataStage, Driver.data, status: 18, slot: slot, endpoint: 1)
    driver.ringBell(slot, 1)
    #expect(try driver.nextEvent().code == .stall)
    try driver.recover(slot, 1)
    #expect(try driver.request(slot, 0x8008, byteCount: 1) == (.success, [1]))
  }

  @Test("Event Data: the bytes since the last one, also behind a short packet")
  func eventData() throws {
    let (driver, slot) = try Self.tablet()
    // As Windows has it: each stage with one behind. The descriptor in two blocks.
    let get: UInt64 = 0x0040_0000_0100_0680
    for (first, second, code): (UInt32, UInt32, XHCICompletion) in [
      (8, 10, .success), (8, 56, .shortPacket), (18, 46, .shortPacket), (64, 64, .shortPacket),
    ] {
      try driver.memory.fill(at: GPA(Driver.data), byteCount: 64, with: 0xEE)
      try driver.put(.setupStage, get, status: 8, flags: 1 << 6, slot: slot, endpoint: 1)
      try driver.put(
        .dataStage, Driver.data, status: first, flags: 1 << 16 | 1 << 4, slot: slot, endpoint: 1)
      try driver.put(
        .normal, Driver.data + UInt64(first), status: second, flags: 1 << 4, slot: slot,
        endpoint: 1)
      try driver.put(.eventData, 0x1234_5678_9ABC, flags: 1 << 5, slot: slot, endpoint: 1)
      try driver.put(.statusStage, flags: 1 << 4, slot: slot, endpoint: 1)
      try driver.put(.eventData, 7, flags: 1 << 5, slot: slot, endpoint: 1)
      driver.ringBell(slot, 1)
      #expect(
        try driver.nextEvent()
          == .init(
            kind: .transferEvent, code: code, parameter: 0x1234_5678_9ABC, byteCount: 18,
            slot: slot, endpoint: 1, isData: true))
      #expect(
        try driver.nextEvent()
          == .init(
            kind: .transferEvent, code: .success, parameter: 7, slot: slot, endpoint: 1,
            isData: true))
      #expect(try driver.memory.read(at: GPA(Driver.data), byteCount: 18).prefix(2) == [18, 1])
      #expect(try driver.memory.read(at: GPA(Driver.data + 18), byteCount: 1) == [0xEE])
    }
    // A report of 6 bytes in two blocks, then one in a block that has room for more.
    for (blocks, code): ([UInt32], XHCICompletion) in [([4, 2], .success), ([8], .shortPacket)] {
      for (index, count) in blocks.enumerated() {
        try driver.put(
          .normal, Driver.data + 4 * UInt64(index), status: count, flags: 1 << 4, slot: slot,
          endpoint: 3)
      }
      try driver.put(.eventData, 9, flags: 1 << 5, slot: slot, endpoint: 3)
      driver.ringBell(slot, 3)
      #expect(Self.move(driver, Int(code.rawValue)))
      #expect(
        try driver.nextEvent()
          == .init(
            kind: .transferEvent, code: code, parameter: 9, byteCount: 6, slot: slot, endpoint: 3,
            isData: true))
      #expect(
        try driver.memory.read(at: GPA(Driver.data), byteCount: 6) == [
          0, code.rawValue, 0, 0, 0, 0,
        ])
    }
  }

  @Test("a report waits for room, and room for a report")
  func reports() throws {
    let (driver, slot) = try Self.tablet()
    #expect(!Self.move(driver, 1))
    try driver.awaitReport(slot)
    #expect(Self.move(driver, 2, buttons: .left))
    #expect(try driver.takeReport(slot) == [1, 2, 0, 0, 0, 0])
    #expect(Self.move(driver, 3, buttons: .left))
    #expect(Self.move(driver, 0x4567))
    try waitUntil { driver.controller.engine.isIdle }
    #expect(try !driver.hasEvent)
    try driver.awaitReport(slot)
    #expect(try driver.takeReport(slot) == [1, 3, 0, 0, 0, 0])
    try driver.awaitReport(slot)
    #expect(try driver.takeReport(slot) == [0, 0x67, 0x45, 0, 0, 0])
    // The same again says nothing.
    try driver.awaitReport(slot)
    #expect(Self.move(driver, 0x4567))
    #expect(driver.controller.engine.inputs.take(.wheel(-1)))
    #expect(try driver.takeReport(slot) == [0, 0x67, 0x45, 0, 0, 0xFF])
    // Round the ring, its link and its cycle bit.
    for turn in 0..<40 {
      try driver.awaitReport(slot)
      #expect(Self.move(driver, turn))
      #expect(try driver.takeReport(slot)[1] == UInt8(turn))
    }
  }

  @Test("a report that does not fit, an endpoint that is none of the device's, or is halted")
  func failures() throws {
    let (driver, slot) = try Self.tablet()
    try driver.awaitReport(slot, byteCount: 5)
    #expect(Self.move(driver, 1))
    var event = try driver.nextEvent()
    #expect(event.code == .babble)
    #expect(try driver.context(slot, 3, word: 0) == 2)
    #expect(!Self.move(driver, 2))
    try driver.recover(slot, 3)
    // Set Feature, ENDPOINT_HALT; cleared.
    #expect(try driver.request(slot, 0x0203, index: 0x81).code == .success)
    #expect(try driver.request(slot, 0x8200, index: 0x81, byteCount: 2).data == [1, 0])
    try driver.awaitReport(slot)
    event = try driver.nextEvent()
    #expect(event.code == .stall)
    try driver.recover(slot, 3)
    #expect(try driver.request(slot, 0x0201, index: 0x81).code == .success)
    #expect(try driver.request(slot, 0x8200, index: 0x81, byteCount: 2).data == [0, 0])
    // A bulk endpoint, out.
    try driver.putInput(slot: slot, port: 1, added: 1 << 4 | 1, endpoint: 4, kind: 2)
    #expect(try driver.run(.configureEndpoint, Driver.input, slot: slot).code == .success)
    try driver.put(.normal, Driver.data, status: 8, flags: 1 << 5, slot: slot, endpoint: 4)
    driver.ringBell(slot, 4)
    #expect(try driver.nextEvent().code == .transactionError)
    // Not configured any more; bells of endpoints that there are not.
    try driver.awaitReport(slot)
    #expect(try driver.request(slot, 0x0009, value: 0).code == .success)
    #expect(!Self.move(driver, 3))
    driver.ringBell(slot, 3)
    #expect(try driver.nextEvent().code == .transactionError)
    for (slot, bell) in [(slot, 0), (slot, 5), (slot, 255), (9, 1), (64, 3)] {
      driver.ringBell(slot, bell)
    }
    #expect(try driver.request(slot, 0x8008, byteCount: 1) == (.success, [0]))
  }

  @Test("a device that sleeps keeps its reports, and wakes a host that asked for it")
  func sleep() throws {
    let (driver, slot) = try Self.tablet()
    try driver.awaitReport(slot)
    driver.write(Driver.port(1), 0x1_0260)
    #expect(Self.move(driver, 1))
    try waitUntil { driver.controller.engine.isIdle }
    #expect(try !driver.hasEvent)
    driver.write(Driver.port(1), 0x1_0200)
    #expect(try driver.nextEvent().kind == .portStatusChange)
    #expect(try driver.takeReport(slot)[1] == 1)
    driver.write(Driver.port(1), 0x7F_0200)
    #expect(try driver.request(slot, 0x0003, value: 1).code == .success)
    #expect(try driver.request(slot, 0x8000, byteCount: 2).data == [2, 0])
    try driver.awaitReport(slot)
    // Before it sends a device to sleep, a guest stops what waits for it.
    #expect(try driver.run(.stopEndpoint, slot: slot, endpoint: 3).code == .success)
    driver.write(Driver.port(1), 0x1_0260)
    #expect(Self.move(driver, 2))
    #expect(try driver.nextEvent().kind == .portStatusChange)
    #expect(driver.read(Driver.port(1)) == 0x40_0FE3)
    driver.write(Driver.port(1), 0x41_0200)
    #expect(try driver.nextEvent().kind == .portStatusChange)
    driver.ringBell(slot, 3)
    #expect(try driver.takeReport(slot)[1] == 2)
  }
}
