import Bytes
import DeviceKit
import TestSupport
import Testing

@testable import Devices

/// What tablet and keyboard report, and which of a machine's devices gets what viewers do.
struct HIDTests {
  private static func key(_ usage: UInt8, _ isDown: Bool) -> HIDInput {
    .key(KeyboardKey(rawValue: usage), isDown: isDown)
  }

  private static func pointer(
    _ x: Int, _ y: Int, of size: (Int, Int) = (1280, 800), _ buttons: PointerButtons = []
  ) -> HIDInput {
    .pointer(PointerState(x: x, y: y, width: size.0, height: size.1, buttons: buttons))
  }

  private static func reports(_ function: inout some HIDFunction) -> [[UInt8]] {
    var reports: [[UInt8]] = []
    while let report = function.nextReport() { reports.append(report) }
    return reports
  }

  @Test("every pixel is found again", arguments: [1, 2, 640, 1024, 1280, 1366, 4095])
  func pixels(width: Int) throws {
    var tablet = USBTablet()
    for x in 0..<width {
      _ = tablet.take(Self.pointer(x, 0, of: (width, 1)))
      let step = Int(tablet.report.loadLE(at: 1, as: UInt16.self))
      #expect((0...32_767).contains(step))
      // As Linux's users compute it, cut, and as Windows may, rounded.
      #expect(step * width / 32_768 == x)
      #expect((step * (width - 1) * 2 + 32_767) / (2 * 32_767) == x)
    }
  }

  @Test("places that no picture has")
  func hostilePlaces() {
    var tablet = USBTablet()
    for (x, width, step): (Int, Int, UInt16) in [
      (-1, 100, 163), (100, 100, 32_604), (.max, .max, 32_767), (.min, .min, 16_384),
      (5, 0, 16_384), (0, .max, 0),
    ] {
      _ = tablet.take(Self.pointer(x, 0, of: (width, 1)))
      #expect(tablet.report.loadLE(at: 1, as: UInt16.self) == step, "\(x) of \(width)")
    }
  }

  @Test("moves on the way are left out, clicks and turns are not")
  func tabletEvents() {
    var tablet = USBTablet()
    let size = (32_768, 32_768)
    for x in 1...9 { _ = tablet.take(Self.pointer(x, 0, of: size)) }
    _ = tablet.take(Self.pointer(9, 0, of: size, .left))
    for x in 10...19 { _ = tablet.take(Self.pointer(x, 1, of: size, .left)) }
    _ = tablet.take(Self.pointer(19, 1, of: size, [.right, .middle, .back, .forward]))
    _ = tablet.take(.wheel(1))
    _ = tablet.take(.wheel(2))
    _ = tablet.take(.wheel(0))
    _ = tablet.take(Self.pointer(20, 1, of: size))
    _ = tablet.take(.wheel(-300))
    let isTaken = tablet.take(Self.key(4, true))
    #expect(!isTaken)
    #expect(
      Self.reports(&tablet) == [
        [0, 9, 0, 0, 0, 0], [1, 9, 0, 0, 0, 0], [1, 19, 0, 1, 0, 0], [0x1E, 19, 0, 1, 0, 0],
        [0x1E, 19, 0, 1, 0, 3], [0, 20, 0, 1, 0, 0], [0, 20, 0, 1, 0, 0x81],
        [0, 20, 0, 1, 0, 0x81], [0, 20, 0, 1, 0, UInt8(bitPattern: -46)],
      ])
    // Bounded, and the last state is there.
    for click in 0..<1000 {
      _ = tablet.take(Self.pointer(click, 0, of: size, click % 2 == 0 ? .left : []))
    }
    let reports = Self.reports(&tablet)
    #expect(reports.count == USBTablet.maximumEventCount)
    #expect(reports.last == [0, 0xE7, 3, 0, 0, 0])
  }

  @Test func keyboardReports() {
    var keyboard = USBKeyboard()
    for (usage, isDown): (UInt8, Bool) in [
      (0xE1, true), (0x04, true), (0x04, true), (0x05, true), (0x04, false), (0x04, false),
      (0xE6, true), (0xE1, false), (0x05, false), (0xE6, false), (0x00, true), (0x03, true),
    ] {
      let isTaken = keyboard.take(Self.key(usage, isDown))
      #expect(isTaken)
    }
    #expect(
      Self.reports(&keyboard).map { Array($0.prefix(4)) } == [
        [2, 0, 0, 0], [2, 0, 4, 0], [2, 0, 4, 5], [2, 0, 5, 0], [0x42, 0, 5, 0], [0x40, 0, 5, 0],
        [0x40, 0, 0, 0], [0, 0, 0, 0],
      ])
    // More keys than there are places.
    for usage: UInt8 in 4...10 { _ = keyboard.take(Self.key(usage, true)) }
    #expect(keyboard.report == [0, 0] + [UInt8](repeating: 1, count: 6))
    _ = keyboard.take(Self.key(6, false))
    #expect(keyboard.report == [0, 0, 4, 5, 7, 8, 9, 10])
    _ = Self.reports(&keyboard)
    // Bounded, and no key stays down.
    for turn in 0..<1000 { _ = keyboard.take(Self.key(0x20, turn % 2 == 0)) }
    let reports = Self.reports(&keyboard)
    #expect(reports.count == USBKeyboard.maximumEventCount)
    #expect(reports.last == [0, 0, 4, 5, 7, 8, 9, 10])
    let isTaken = keyboard.take(.wheel(1))
    #expect(!isTaken)
    keyboard.setReport([0xFF])
    #expect(keyboard.lights == [.numLock, .capsLock, .scrollLock])
    keyboard.setReport([])
    #expect(keyboard.lights == [])
  }

  @Test(
    "the keyboard over the wire: boot protocol, idle rate, lights, the report that is asked for")
  func keyboardRequests() throws {
    let driver = try USBTestDriver()
    try driver.takeConnections()
    let slot = try driver.configure(port: 2)
    let all = try driver.request(slot, 0x8006, value: 0x200, byteCount: 34).data
    #expect(Array(all[9..<18]) == [9, 4, 0, 0, 1, 3, 1, 1, 0])
    #expect(try driver.request(slot, 0xA103, byteCount: 1).data == [1])
    #expect(try driver.request(slot, 0x210B).code == .success)
    #expect(try driver.request(slot, 0xA103, byteCount: 1).data == [0])
    #expect(try driver.request(slot, 0x210A, value: 0x7D00).code == .success)
    #expect(try driver.request(slot, 0xA102, byteCount: 1).data == [0x7D])
    #expect(driver.controller.engine.inputs.lights == nil)
    try driver.awaitReport(slot)
    #expect(driver.controller.engine.inputs.take(Self.key(0x04, true)))
    #expect(try driver.takeReport(slot) == [0, 0, 4, 0, 0, 0, 0, 0])
    #expect(
      try driver.request(slot, 0xA101, value: 0x100, byteCount: 8).data == [0, 0, 4, 0, 0, 0, 0, 0])
    #expect(driver.controller.engine.inputs.lights == [])
    #expect(try driver.request(slot, 0x2109, value: 0x200, data: [2]).code == .success)
    #expect(driver.controller.engine.inputs.lights == .capsLock)
    // More than a keyboard has lights.
    #expect(
      try driver.request(slot, 0x2109, value: 0x200, data: .init(repeating: 1, count: 4000)).code
        == .success)
    #expect(driver.controller.engine.inputs.lights == .numLock)
  }

  // MARK: Which device

  /// What a PS/2 controller was given.
  private final class Legacy: KeyboardInput, PointerInput {
    let log = Recorder<String>()

    func setKey(_ key: KeyboardKey, isDown: Bool) {
      log.append("key \(key.rawValue) \(isDown ? "down" : "up")")
    }
    var lights: KeyboardLights { .scrollLock }
    func setPointer(_ state: PointerState) {
      log.append("pointer \(state.x) \(state.buttons.rawValue)")
    }
    func turnWheel(vertical: Int, horizontal: Int) { log.append("wheel \(vertical) \(horizontal)") }
  }

  @Test(
    "USB devices get what viewers do while the guest listens to them, else PS/2; nothing sticks")
  func inputSwitch() throws {
    let driver = try USBTestDriver()
    let legacy = Legacy()
    let inputs = InputSwitch(legacy: legacy, usb: driver.controller)
    let a = KeyboardKey(rawValue: 4)
    func point(_ x: Int, _ buttons: PointerButtons = []) {
      inputs.setPointer(PointerState(x: x, y: 0, width: 32_768, height: 1, buttons: buttons))
    }
    try driver.takeConnections()
    // Configured, and not listened to: as firmware does that has no driver for the tablet.
    let tablet = try driver.configure(port: 1)
    point(1, .left)
    inputs.setKey(a, isDown: true)
    inputs.turnWheel(vertical: 1, horizontal: 2)
    #expect(inputs.lights == .scrollLock)
    #expect(legacy.log.values == ["pointer 1 1", "key 4 down", "wheel 1 2"])
    let keyboard = try driver.configure(port: 2)
    try driver.awaitReport(keyboard)
    try driver.awaitReport(tablet)
    point(2, .left)
    #expect(try driver.takeReport(tablet).prefix(2) == [1, 2])
    #expect(inputs.lights == [])
    inputs.setKey(a, isDown: false)
    inputs.setKey(a, isDown: true)
    #expect(try driver.takeReport(keyboard) == [0, 0, 4, 0, 0, 0, 0, 0])
    try driver.awaitReport(tablet)
    inputs.turnWheel(vertical: -1, horizontal: 0)
    #expect(try driver.takeReport(tablet)[5] == 0xFF)
    // The button and the key were down there.
    #expect(legacy.log.values.dropFirst(3) == ["pointer 1 0", "key 4 up"])
    // The guest stops listening while a key is down: it is not down when it listens again.
    #expect(try driver.run(.stopEndpoint, slot: keyboard, endpoint: 3).code == .success)
    inputs.setKey(a, isDown: false)
    #expect(legacy.log.values.last == "key 4 up")
    try driver.awaitReport(keyboard)
    #expect(try driver.takeReport(keyboard) == [UInt8](repeating: 0, count: 8))
    try driver.awaitReport(keyboard)
    inputs.setKey(KeyboardKey(rawValue: 5), isDown: true)
    #expect(try driver.takeReport(keyboard) == [0, 0, 5, 0, 0, 0, 0, 0])
    // The guest halts the controller, or resets it.
    for command: UInt64 in [4, 2] {
      driver.write(USBTestDriver.Register.command, command)
      point(3)
      inputs.setKey(a, isDown: true)
      #expect(legacy.log.values.suffix(2) == ["pointer 3 0", "key 4 down"])
    }
    let alone = InputSwitch(legacy: legacy, usb: nil)
    alone.setKey(a, isDown: false)
    #expect(legacy.log.values.last == "key 4 up")
  }
}
