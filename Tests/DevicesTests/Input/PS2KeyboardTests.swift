import DeviceKit
import Devices
import TestSupport
import Testing

/// The keyboard behind its controller, with and without translation.
@Suite(.onVCPUThread) struct PS2KeyboardTests {
  private let line = RecordingLine()
  private let controller: KeyboardController
  private let bus: PortBus

  init() throws {
    controller = KeyboardController(keyboardLine: line) {}
    bus = try PortBus(controller.attachments)
  }

  private func write(_ bytes: UInt32...) {
    for byte in bytes { bus.write(port: 0x60, width: 1, value: byte) }
  }

  /// As the keyboard sends it: translation off.
  private func stopTranslation() {
    bus.write(port: 0x64, width: 1, value: 0x60)
    write(0x07)
  }

  private func drain() -> [UInt32] {
    var bytes: [UInt32] = []
    while bus.read(port: 0x64, width: 1) & 1 != 0, bytes.count < 10_000 {
      bytes.append(bus.read(port: 0x60, width: 1))
    }
    return bytes
  }

  private func press(_ keys: UInt8...) {
    for key in keys { controller.setKey(KeyboardKey(rawValue: key), isDown: true) }
  }

  private func release(_ keys: UInt8...) {
    for key in keys { controller.setKey(KeyboardKey(rawValue: key), isDown: false) }
  }

  /// Bytes to the keyboard, and its answers.
  @Test(
    arguments: [
      ([0xFF], [0xFA, 0xAA]), ([0xF4], [0xFA]), ([0xF5], [0xFA]), ([0xED, 0x07], [0xFA, 0xFA]),
      ([0xF0, 0x02], [0xFA, 0xFA]), ([0xF0, 0], [0xFA, 0xFA, 2]),
      ([0xF0, 1, 0xF0, 0], [0xFA, 0xFA, 0xFA, 0xFA, 1]), ([0xF0, 3], [0xFA, 0xFE]),
      ([0xF0, 9], [0xFA, 0xFE]), ([0xF2], [0xFA, 0xAB, 0x83]), ([0xEE], [0xEE]),
      ([0xF3, 0x20], [0xFA, 0xFA]), ([0xED, 0xF4], [0xFA, 0xFA]), ([0x00], [0xFE]),
      ([0xF6], [0xFA]), ([0xF0, 1, 0xFF, 0xF0, 0], [0xFA, 0xAA, 0xFA, 0xFA, 2]),
    ] as [([UInt32], [UInt32])])
  func commands(bytes: [UInt32], answers: [UInt32]) {
    stopTranslation()
    for byte in bytes { write(byte) }
    // A reset forgets answers that have not begun: the first one had.
    #expect(drain().suffix(answers.count) == answers[...])
  }

  /// A key, its codes when pressed and when released in set 2, and the same translated.
  @Test(
    arguments: [
      (0x04, [0x1C], [0xF0, 0x1C], [0x1E], [0x9E]),  // A
      (0x28, [0x5A], [0xF0, 0x5A], [0x1C], [0x9C]),  // Enter
      (0x40, [0x83], [0xF0, 0x83], [0x41], [0xC1]),  // F7
      (0x45, [0x07], [0xF0, 0x07], [0x58], [0xD8]),  // F12
      (0x4C, [0xE0, 0x71], [0xE0, 0xF0, 0x71], [0xE0, 0x53], [0xE0, 0xD3]),  // Delete
      (0x58, [0xE0, 0x5A], [0xE0, 0xF0, 0x5A], [0xE0, 0x1C], [0xE0, 0x9C]),  // keypad Enter
      (
        0x46, [0xE0, 0x12, 0xE0, 0x7C], [0xE0, 0xF0, 0x7C, 0xE0, 0xF0, 0x12],
        [0xE0, 0x2A, 0xE0, 0x37], [0xE0, 0xB7, 0xE0, 0xAA]
      ),  // Print Screen
      (
        0x48, [0xE1, 0x14, 0x77, 0xE1, 0xF0, 0x14, 0xF0, 0x77], [],
        [0xE1, 0x1D, 0x45, 0xE1, 0x9D, 0xC5], []
      ),  // Pause
      (0xE0, [0x14], [0xF0, 0x14], [0x1D], [0x9D]),  // left Control
      (0xE6, [0xE0, 0x11], [0xE0, 0xF0, 0x11], [0xE0, 0x38], [0xE0, 0xB8]),  // right Alt
      (0xE7, [0xE0, 0x27], [0xE0, 0xF0, 0x27], [0xE0, 0x5C], [0xE0, 0xDC]),  // right logo key
      (0x90, [0xF2], [], [0xF2], []),  // Hangul
      (0x00, [], [], [], []), (0x03, [], [], [], []), (0x74, [], [], [], []),
      (0xFF, [], [], [], []),
    ] as [(UInt8, [UInt32], [UInt32], [UInt32], [UInt32])])
  func codes(
    key: UInt8, make: [UInt32], release: [UInt32], set1: [UInt32], set1Release: [UInt32]
  ) {
    press(key)
    #expect(drain() == set1)
    self.release(key)
    #expect(drain() == set1Release)
    stopTranslation()
    press(key)
    #expect(drain() == make)
    self.release(key)
    #expect(drain() == release)
    // The keyboard's own set 1 is the same as the controller's.
    write(0xF0, 1)
    #expect(drain() == [0xFA, 0xFA])
    press(key)
    self.release(key)
    #expect(drain() == set1 + set1Release)
  }

  @Test("no two keys have the same code, except the two that a layout has one of")
  func distinctCodes() {
    stopTranslation()
    var keys: [[UInt32]: [UInt8]] = [:]
    for key in UInt8.min...UInt8.max {
      press(key)
      let code = drain()
      release(key)
      _ = drain()
      if !code.isEmpty { keys[code, default: []].append(key) }
    }
    let shared = keys.values.filter { $0.count > 1 }.map { $0.sorted() }
    #expect(Set(shared) == [[0x31, 0x32], [0x73, 0x94]])
    #expect(keys.count == 130)
  }

  /// With other keys down they are other keys. Source: *Keyboard Scan Code Specification*.
  @Test func keysThatDependOnOthers() {
    stopTranslation()
    press(0xE2, 0x46)
    release(0xE2, 0x46)
    #expect(drain() == [0x11, 0x84, 0xF0, 0x11, 0xF0, 0x84])
    press(0xE5, 0x46)
    release(0x46, 0xE5)
    #expect(drain() == [0x59, 0xE0, 0x7C, 0xE0, 0xF0, 0x7C, 0xF0, 0x59])
    press(0xE0, 0x48)
    release(0x48, 0xE0)
    #expect(drain() == [0x14, 0xE0, 0x7E, 0xE0, 0xF0, 0x7E, 0xF0, 0x14])
  }

  @Test func repeatedAndReleasedTwice() {
    press(0x04, 0x04)
    release(0x04, 0x04, 0x05)
    #expect(drain() == [0x1E, 0x1E, 0x9E])
    #expect(line.edgeCount == 3)
  }

  @Test func lightsAsTheGuestSetThem() {
    #expect(controller.lights == [])
    for (parameter, lights) in [
      (1, [.scrollLock]), (2, [.numLock]), (4, [.capsLock]), (6, [.numLock, .capsLock]), (0, []),
      (7, [.scrollLock, .numLock, .capsLock]),
    ] as [(UInt32, KeyboardLights)] {
      write(0xED, parameter)
      #expect(controller.lights == lights)
    }
    write(0xFF)
    #expect(controller.lights == [])
  }

  @Test("switched off it is silent, and says nothing of a key that was pressed then")
  func scanningOff() {
    press(0x04)
    write(0xF5)
    press(0x05)
    #expect(drain() == [0x1E, 0xFA])
    write(0xF4)
    release(0x04, 0x05)
    press(0x05)
    #expect(drain() == [0xFA, 0x30])
  }

  @Test("answers go before keys that wait")
  func answersFirst() {
    press(0x04, 0x05, 0x06)
    write(0xEE)
    #expect(drain() == [0x1E, 0xEE, 0x30, 0x2E])
  }

  @Test("keys that find no room are an overrun, and then none stays down that is up")
  func overrun() {
    press(0x04, 0xE1)
    #expect(drain() == [0x1E, 0x2A])
    // One byte is in the controller: 256 events wait behind it.
    for _ in 0..<256 { press(0x05) }
    release(0x04)
    press(0x06)
    release(0xE1)
    press(0xE1)
    for _ in 0..<1000 {
      press(0x07)
      release(0x07)
    }
    let bytes = drain()
    #expect(bytes.prefix(257) == Array(repeating: 0x30, count: 256)[...] + [0x9E])
    // Left Shift is down before and after, D was never reported.
    #expect(Array(bytes.dropFirst(257)) == [0xFF, 0x2E])
    press(0x08)
    #expect(drain() == [0x12])
  }
}
