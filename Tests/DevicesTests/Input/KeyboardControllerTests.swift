import DeviceKit
import Devices
import TestSupport
import Testing

@Suite(.onVCPUThread) struct KeyboardControllerTests {
  private let keyboardLine = RecordingLine()
  private let mouseLine = RecordingLine()
  private let resets = Recorder<Bool>()

  private func makeController() -> KeyboardController {
    KeyboardController(keyboardLine: keyboardLine, mouseLine: mouseLine) {
      [resets] in resets.append(true)
    }
  }

  /// All that waits at the data port; stops by itself.
  private static func drain(_ bus: PortBus) -> [UInt32] {
    var bytes: [UInt32] = []
    while bus.read(port: 0x64, width: 1) & 1 != 0, bytes.count < 100 {
      bytes.append(bus.read(port: 0x60, width: 1))
    }
    return bytes
  }

  /// A command, what it answers.
  @Test(
    arguments: [
      (0x20, [0x47]), (0xA9, [0]), (0xAA, [0x55]), (0xAB, [0]), (0xC0, [0x80]), (0xD0, [0x03]),
      (0xE0, [0]), (0x21, [0]), (0xA7, []), (0xA8, []), (0xAD, []), (0xAE, []), (0xFF, []),
      (0x00, []), (0xF1, []),
    ] as [(UInt32, [UInt32])])
  func commands(command: UInt32, answer: [UInt32]) throws {
    let bus = try PortBus(makeController().attachments)
    #expect(bus.read(port: 0x64, width: 1) == 0x14)
    bus.write(port: 0x64, width: 1, value: command)
    #expect(Self.drain(bus) == answer)
    #expect(bus.read(port: 0x64, width: 1) == 0x1C)
    #expect(resets.values.isEmpty)
  }

  /// A command and its data, and whether they reset.
  @Test(
    arguments: [
      (0xFE, nil, true), (0xF0, nil, true), (0xFF, nil, false), (0xD1, 0xFE, true),
      (0xD1, 0xDF, false), (0xD1, 0x02, true), (0x60, 0xFE, false), (0xD4, 0xFE, false),
    ] as [(UInt32, UInt32?, Bool)])
  func resetting(command: UInt32, data: UInt32?, isReset: Bool) throws {
    let bus = try PortBus(makeController().attachments)
    bus.write(port: 0x64, width: 1, value: command)
    if let data { bus.write(port: 0x60, width: 1, value: data) }
    #expect(resets.values.count == (isReset ? 1 : 0))
  }

  @Test func configurationAndPortEnables() throws {
    let bus = try PortBus(makeController().attachments)
    // Command, and the configuration after it.
    for (command, expected) in [(0xA7, 0x67), (0xAD, 0x77), (0xA8, 0x57), (0xAE, 0x47)]
      as [(UInt32, UInt32)]
    {
      bus.write(port: 0x64, width: 1, value: command)
      bus.write(port: 0x64, width: 1, value: 0x20)
      #expect(Self.drain(bus) == [expected])
    }
    for value in 0...255 as ClosedRange<UInt32> {
      bus.write(port: 0x64, width: 1, value: 0x60)
      bus.write(port: 0x60, width: 1, value: value)
      bus.write(port: 0x64, width: 1, value: 0x20)
      #expect(Self.drain(bus) == [value])
    }
    bus.write(port: 0x64, width: 1, value: 0xD1)
    bus.write(port: 0x60, width: 1, value: 0xDD)
    bus.write(port: 0x64, width: 1, value: 0xD0)
    #expect(Self.drain(bus) == [0xDD])
  }

  @Test func theMouseHasItsOwnStatusAndLine() throws {
    let bus = try PortBus(makeController().attachments)
    for (command, byte, answer) in [(0xD3, 0x5A, 0x5A), (0xD4, 0xF4, 0xFA)]
      as [(UInt32, UInt32, UInt32)]
    {
      bus.write(port: 0x64, width: 1, value: command)
      bus.write(port: 0x60, width: 1, value: byte)
      #expect(bus.read(port: 0x64, width: 1) == 0x35)
      #expect(mouseLine.isAsserted && !keyboardLine.isAsserted)
      #expect(bus.read(port: 0x60, width: 1) == answer)
    }
    #expect(mouseLine.edgeCount == 2)
  }

  @Test func inputWaitsWhileThePortIsDisabled() throws {
    let controller = makeController()
    let bus = try PortBus(controller.attachments)
    bus.write(port: 0x64, width: 1, value: 0xAD)
    controller.setKey(KeyboardKey(rawValue: 0x04), isDown: true)
    #expect(Self.drain(bus) == [])
    bus.write(port: 0x64, width: 1, value: 0xAE)
    #expect(Self.drain(bus) == [0x1E])
    #expect(keyboardLine.edgeCount == 1)
    bus.write(port: 0x64, width: 1, value: 0xD4)
    bus.write(port: 0x60, width: 1, value: 0xF4)
    #expect(Self.drain(bus) == [0xFA])
    bus.write(port: 0x64, width: 1, value: 0xA7)
    controller.turnWheel(vertical: 0, horizontal: 0)
    controller.setPointer(PointerState(x: 5, y: 5, width: 9, height: 9, buttons: .left))
    #expect(Self.drain(bus) == [])
    // A byte to the mouse enables its port, as one to the keyboard does the keyboard's.
    bus.write(port: 0x64, width: 1, value: 0xD4)
    bus.write(port: 0x60, width: 1, value: 0xE6)
    #expect(Self.drain(bus) == [0xFA, 9, 0, 0])
  }

  @Test func answersThatAreNotReadAreBounded() throws {
    let bus = try PortBus(makeController().attachments)
    for _ in 0..<100 { bus.write(port: 0x64, width: 1, value: 0xAA) }
    for _ in 0..<100 { bus.write(port: 0x60, width: 1, value: 0xF2) }
    for _ in 0..<100 {
      bus.write(port: 0x64, width: 1, value: 0xD4)
      bus.write(port: 0x60, width: 1, value: 0xF2)
    }
    #expect(Self.drain(bus).count == 17 + 16 + 16)
  }

  /// What Linux's i8042 driver and OVMF's keyboard driver ask at start, one after the other.
  @Test func asDriversProbe() throws {
    let bus = try PortBus(makeController().attachments)
    // Port, byte, what is then read, and from where.
    let linux: [(UInt16, UInt32, [UInt32], UInt32)] = [
      (0x64, 0x20, [0x47], 1), (0x64, 0x60, [], 1), (0x60, 0x70, [], 1), (0x64, 0xD3, [], 1),
      (0x60, 0x5A, [0x5A], 0x21), (0x64, 0xA7, [], 1), (0x64, 0x20, [0x70], 1), (0x64, 0xA8, [], 1),
      (0x64, 0x20, [0x50], 1), (0x64, 0x60, [], 1), (0x60, 0x52, [], 1), (0x64, 0xD3, [], 1),
      (0x60, 0xA5, [0xA5], 0x21), (0x64, 0x60, [], 1), (0x60, 0x47, [], 1),
      (0x60, 0xF2, [0xFA, 0xAB, 0x41], 1), (0x60, 0xED, [0xFA], 1), (0x60, 0, [0xFA], 1),
      (0x60, 0xF5, [0xFA], 1), (0x60, 0xF3, [0xFA], 1), (0x60, 0, [0xFA], 1),
      (0x60, 0xF4, [0xFA], 1),
    ]
    let ovmf: [(UInt16, UInt32, [UInt32], UInt32)] = [
      (0x64, 0xAD, [], 1), (0x64, 0xA7, [], 1), (0x64, 0xAA, [0x55], 1), (0x64, 0x60, [], 1),
      (0x60, 0x67, [], 1), (0x60, 0xF4, [0xFA], 1), (0x64, 0xAB, [0], 1),
      (0x60, 0xFF, [0xFA, 0xAA], 1),
      (0x60, 0xF0, [0xFA], 1), (0x60, 2, [0xFA], 1), (0x60, 0xF4, [0xFA], 1),
      (0x60, 0xED, [0xFA], 1), (0x60, 0, [0xFA], 1),
    ]
    for (index, (port, byte, answer, bits)) in (linux + ovmf).enumerated() {
      let edgeCount = mouseLine.edgeCount
      bus.write(port: port, width: 1, value: byte)
      for expected in answer {
        #expect(bus.read(port: 0x64, width: 1) & 0x21 == bits, "step \(index)")
        #expect(bus.read(port: 0x60, width: 1) == expected, "step \(index)")
      }
      #expect(bus.read(port: 0x64, width: 1) & 1 == 0, "step \(index)")
      #expect(mouseLine.edgeCount - edgeCount == (byte == 0xA5 ? 1 : 0), "step \(index)")
    }
  }

  @Test func disabledInterruptsLeaveTheLineLow() throws {
    let bus = try PortBus(makeController().attachments)
    bus.write(port: 0x64, width: 1, value: 0x60)
    bus.write(port: 0x60, width: 1, value: 0x44)
    bus.write(port: 0x60, width: 1, value: 0xF2)
    #expect(Self.drain(bus) == [0xFA, 0xAB, 0x41])
    #expect(keyboardLine.edgeCount == 0)
  }
}
