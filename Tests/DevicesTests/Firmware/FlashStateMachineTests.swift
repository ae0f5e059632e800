import TestSupport
import Testing

@testable import Devices

/// Each command and each sequence that goes wrong, without a chip around them.
@Suite(.onVCPUThread) struct FlashStateMachineTests {
  @Test(
    "commands that choose what reads return",
    arguments: [
      (FlashCommand.readStatus, FlashStateMachine.Mode.status),
      (FlashCommand.readIdentifier, .identifier), (FlashCommand.query, .query),
      (FlashCommand.readArray, .array),
    ])
  func modes(command: UInt8, mode: FlashStateMachine.Mode) {
    var machine = FlashStateMachine()
    #expect(machine.write(command) == nil)
    #expect(machine.mode == mode)
    #expect(machine.write(FlashCommand.readArray) == nil)
    #expect(machine.mode == .array)
  }

  @Test("a program takes the next byte, whatever it is", arguments: [0x10, 0x40] as [UInt8])
  func program(command: UInt8) {
    for byte in UInt8.min...UInt8.max {
      var machine = FlashStateMachine()
      #expect(machine.write(command) == nil)
      #expect(machine.mode == .status)
      #expect(machine.write(byte) == .program(byte))
      machine.finish(.program(byte), isDone: true)
      #expect(machine.mode == .status && machine.status == .ready)
    }
  }

  @Test("an erase needs its confirmation; without it the status says so")
  func erase() {
    for byte in UInt8.min...UInt8.max {
      var machine = FlashStateMachine()
      _ = machine.write(FlashCommand.erase)
      let change = machine.write(byte)
      if byte == FlashCommand.confirm {
        #expect(change == .erase)
        machine.finish(.erase, isDone: true)
        #expect(machine.status == .ready)
      } else {
        #expect(change == nil)
        #expect(machine.status == [.ready, .eraseFailed, .programFailed])
      }
      #expect(machine.mode == .status)
    }
  }

  @Test("a failed change is in the status until it is cleared")
  func failures() {
    var machine = FlashStateMachine()
    machine.finish(.program(0), isDone: false)
    #expect(machine.status == [.ready, .programFailed])
    machine.finish(.erase, isDone: false)
    #expect(machine.status == [.ready, .programFailed, .eraseFailed])
    _ = machine.write(FlashCommand.readArray)
    #expect(machine.status.contains(.programFailed))
    _ = machine.write(FlashCommand.clearStatus)
    #expect(machine.status.isEmpty && machine.mode == .array)
  }

  @Test("what OVMF does to tell flash from ROM and RAM")
  func probe() {
    var machine = FlashStateMachine()
    _ = machine.write(0x50)
    #expect(machine.mode == .array)
    _ = machine.write(0x70)
    #expect(machine.mode == .status && machine.status.rawValue == 0)
  }

  @Test(
    "a byte that is no command leads back to the array", arguments: [0x00, 0x01, 0xD0, 0xE8, 0xFE])
  func unknown(byte: UInt8) {
    var machine = FlashStateMachine()
    _ = machine.write(FlashCommand.readStatus)
    #expect(machine.write(byte) == nil)
    #expect(machine.mode == .array)
  }
}
