import DeviceKit
import Devices
import TestSupport
import Testing

/// The mouse behind its controller.
@Suite(.onVCPUThread) struct PS2MouseTests {
  private let line = RecordingLine()
  private let controller: KeyboardController
  private let bus: PortBus

  init() throws {
    controller = KeyboardController(mouseLine: line) {}
    bus = try PortBus(controller.attachments)
  }

  private func send(_ bytes: UInt32...) {
    for byte in bytes {
      bus.write(port: 0x64, width: 1, value: 0xD4)
      bus.write(port: 0x60, width: 1, value: byte)
    }
  }

  private func drain() -> [UInt32] {
    var bytes: [UInt32] = []
    while bus.read(port: 0x64, width: 1) & 1 != 0, bytes.count < 10_000 {
      #expect(bus.read(port: 0x64, width: 1) & 0x20 != 0)
      bytes.append(bus.read(port: 0x60, width: 1))
    }
    return bytes
  }

  private func ask(_ bytes: UInt32...) -> [UInt32] {
    bytes.flatMap { byte in
      send(byte)
      return drain()
    }
  }

  private func move(_ x: Int, _ y: Int, _ buttons: PointerButtons = []) {
    controller.setPointer(PointerState(x: x, y: y, width: 1280, height: 800, buttons: buttons))
  }

  private func become(explorer: Bool = false) {
    _ = ask(0xF3, 200, 0xF3, explorer ? 200 : 100, 0xF3, 80)
  }

  /// As Linux's psmouse and, by ReactOS, Windows' i8042prt ask.
  @Test func asDriversProbe() {
    #expect(ask(0xFF) == [0xFA, 0xAA, 0])
    #expect(ask(0xF2) == [0xFA, 0])
    #expect(ask(0xF6) == [0xFA])
    #expect(ask(0xE8, 0, 0xE6, 0xE6, 0xE6) == [0xFA, 0xFA, 0xFA, 0xFA, 0xFA])
    // The second byte is the resolution: another one would be a Logitech.
    #expect(ask(0xE9) == [0xFA, 0, 0, 100])
    #expect(ask(0xF3, 200, 0xF3, 100, 0xF3, 80) == Array(repeating: 0xFA, count: 6))
    #expect(ask(0xF2) == [0xFA, 3])
    #expect(ask(0xF3, 200, 0xF3, 200, 0xF3, 80) == Array(repeating: 0xFA, count: 6))
    #expect(ask(0xF2) == [0xFA, 4])
    #expect(ask(0xF3, 100, 0xE8, 3, 0xE6, 0xF4) == Array(repeating: 0xFA, count: 6))
    #expect(ask(0xE9) == [0xFA, 0x20, 3, 100])
    #expect(ask(0xE7, 0xF0, 0xE9) == [0xFA, 0xFA, 0xFA, 0x70, 3, 100])
    // Defaults leave the kind of mouse, a reset does not.
    #expect(ask(0xF6, 0xF2) == [0xFA, 0xFA, 4])
    #expect(ask(0xFF, 0xF2) == [0xFA, 0xAA, 0, 0xFA, 0])
    // TrackPoint's question.
    #expect(ask(0xE1) == [0xFE])
  }

  @Test func movesAreTheWayFromPlaceToPlace() {
    #expect(ask(0xF4) == [0xFA])
    move(100, 100)
    #expect(drain() == [])
    move(103, 98)
    #expect(drain() == [8, 3, 2])
    move(101, 103, .left)
    #expect(drain() == [0x38, 0xFE, 0xFB, 0x09, 0, 0])
    move(101, 103, [.right, .middle])
    #expect(drain() == [0x0E, 0, 0])
    move(101, 103, [.right, .middle])
    #expect(drain() == [])
    // Another picture: no way, but the buttons.
    controller.setPointer(PointerState(x: 5, y: 5, width: 640, height: 480, buttons: []))
    #expect(drain() == [8, 0, 0])
    #expect(line.edgeCount == 16)
  }

  @Test func farMovesComeInParts() {
    _ = ask(0xF4)
    move(0, 0)
    move(600, 300, .left)
    // Each first byte comes before its overflow bits would be needed; the press is at the end.
    #expect(
      drain() == [
        0x28, 0xFF, 0x01, 0x28, 0xFF, 0xD3, 0x08, 90, 0, 0x09, 0, 0,
      ])
    move(0, 0, .left)
    #expect(drain() == [0x19, 0x01, 0xFF, 0x19, 0x01, 45, 0x19, 0xA6, 0])
  }

  @Test func wheelAndMoreButtons() {
    _ = ask(0xF4)
    controller.turnWheel(vertical: 3, horizontal: 0)
    move(0, 0, [.back])
    // A mouse of three buttons has no place for either.
    #expect(drain() == [8, 0, 0])
    move(0, 0)
    _ = drain()
    become()
    _ = ask(0xF4)
    controller.turnWheel(vertical: 3, horizontal: 0)
    controller.turnWheel(vertical: -10, horizontal: 0)
    controller.turnWheel(vertical: 0, horizontal: 5)
    #expect(drain() == [8, 0, 0, 0xFD, 8, 0, 0, 7, 8, 0, 0, 3])
    become(explorer: true)
    _ = ask(0xF4)
    controller.turnWheel(vertical: 1, horizontal: 0)
    move(0, 0, [.back])
    move(0, 0, [.forward, .left])
    #expect(drain() == [8, 0, 0, 0x0F, 8, 0, 0, 0x10, 9, 0, 0, 0x20])
  }

  @Test func clicksThatWaitStayApart() {
    _ = ask(0xF4)
    // One packet is on its way; two more clicks wait, and moves between them are one.
    move(10, 10, .left)
    move(10, 10)
    for x in 11...20 { move(x, 10) }
    move(20, 10, .left)
    move(20, 10)
    #expect(drain() == [9, 0, 0, 8, 10, 0, 9, 0, 0, 8, 0, 0])
    // More than fit: bounded, and the last one is as it is now.
    for _ in 0..<1000 {
      move(20, 10, .left)
      move(20, 10)
    }
    move(20, 10, .right)
    let bytes = drain()
    #expect(bytes.count == 3 * 65)
    #expect(Array(bytes.suffix(3)) == [0x0A, 0, 0])
  }

  @Test func silentUntilEnabledAndAfterReset() {
    move(0, 0, .left)
    move(9, 9)
    #expect(drain() == [])
    _ = ask(0xF4)
    #expect(drain() == [])
    move(10, 9, .left)
    _ = ask(0xF5)
    move(11, 9)
    #expect(ask(0xF4) == [0xFA])
    move(12, 9)
    #expect(drain() == [8, 1, 0])
    _ = ask(0xFF)
    move(13, 9)
    #expect(drain() == [])
  }

  @Test("a command ends a packet that is on its way; the buttons come again")
  func interruptedPacket() {
    _ = ask(0xF4)
    move(0, 0, .left)
    // The first byte is in the controller already.
    send(0xE6)
    #expect(drain() == [9, 0xFA, 9, 0, 0])
  }

  @Test func remoteModeAnswersWhenAsked() {
    #expect(ask(0xF0) == [0xFA])
    move(0, 0)
    move(5, 0, .left)
    #expect(drain() == [])
    #expect(ask(0xEB) == [0xFA, 8, 5, 0])
    #expect(ask(0xEB) == [0xFA, 9, 0, 0])
    #expect(ask(0xEB) == [0xFA, 9, 0, 0])
    #expect(ask(0xEA, 0xF4) == [0xFA, 0xFA])
    move(6, 0, .left)
    #expect(drain() == [9, 1, 0])
  }

  @Test func echoAndScaling() {
    #expect(ask(0xEE, 0xF2, 0x00, 0xF4, 0xEC, 0xF2) == [0xFA, 0xF2, 0, 0xF4, 0xFA, 0xFA, 0])
    #expect(ask(0xEE, 0xFF, 0xF2) == [0xFA, 0xFA, 0xAA, 0, 0xFA, 0])
    _ = ask(0xE7, 0xF4)
    move(0, 0)
    var sent: [UInt32] = []
    var x = 0
    for step in [1, 2, 3, 4, 5, 6, 200] {
      x += step
      move(x, 0)
      sent.append(drain()[1])
    }
    #expect(sent == [1, 1, 3, 6, 9, 12, 255])
  }

  @Test func valuesOfAnySizeAreTaken() {
    _ = ask(0xF4)
    for value in [Int.min, Int.max, Int.min, 0] {
      controller.setPointer(
        PointerState(
          x: value, y: value, width: 1, height: 1, buttons: PointerButtons(rawValue: 255)))
      controller.turnWheel(vertical: value, horizontal: value)
    }
    for _ in 0..<10_000 { controller.turnWheel(vertical: .max, horizontal: 0) }
    // A sum stops at a million.
    #expect(drain().count <= 3 * (1_000_000 / 255 + 2))
  }
}
