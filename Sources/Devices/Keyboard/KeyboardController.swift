public import DeviceKit
internal import HostSystem

/// An i8042: the keyboard and mouse controller of a PC, at ports 0x60 (data) and 0x64 (command,
/// status).
///
/// Guests also reset by it: command 0xFE, or the output port's bit 0. Bytes of the devices pass as
/// they are; the translation that configuration bit 6 asks for is left to who feeds
/// `sendFromKeyboard(_:)`.
public final class KeyboardController: Sendable {
  private struct State {
    var registers: KeyboardControllerState
    var keyboardLine: DrivenLine
    var mouseLine: DrivenLine

    mutating func driveLines() {
      keyboardLine.set(registers.isKeyboardInterrupting)
      mouseLine.set(registers.isMouseInterrupting)
    }
  }

  private let state: Guarded<State>
  private let onReset: @Sendable () -> Void

  /// A controller as firmware leaves it: ports enabled, interrupts on, translation on.
  ///
  /// - Parameters:
  ///   - keyboard: nil for none; its commands are then answered with 0xFE, *resend*.
  ///   - mouse: likewise.
  ///   - keyboardLine: interrupt 1, asserted while a byte of the keyboard or an answer waits.
  ///   - mouseLine: interrupt 12, asserted while a byte of the mouse waits.
  ///   - onReset: called on the vCPU's thread with no lock held, at each request.
  public init(
    keyboard: (any PS2Device)? = PS2Keyboard(), mouse: (any PS2Device)? = nil,
    keyboardLine: (any InterruptLine)? = nil, mouseLine: (any InterruptLine)? = nil,
    onReset: @escaping @Sendable () -> Void
  ) {
    state = Guarded(
      State(
        registers: KeyboardControllerState(keyboard: keyboard, mouse: mouse),
        keyboardLine: DrivenLine(keyboardLine), mouseLine: DrivenLine(mouseLine)))
    self.onReset = onReset
  }

  /// What to put on a `PortBus`: both ports. What lies between them is not the controller's.
  public var attachments: [(PortRange, any BusDevice)] {
    [
      (PortRange(start: 0x60, count: 1), KeyboardPort(controller: self, isCommand: false)),
      (PortRange(start: 0x64, count: 1), KeyboardPort(controller: self, isCommand: true)),
    ]
  }

  /// Input of the keyboard, from any thread, as the guest is to read it.
  ///
  /// - Returns: how many of the bytes, from the first, found a place in the queue of 16.
  @discardableResult
  public func sendFromKeyboard(_ bytes: [UInt8]) -> Int {
    send(bytes, from: .keyboard)
  }

  /// Input of the mouse, likewise.
  @discardableResult
  public func sendFromMouse(_ bytes: [UInt8]) -> Int {
    send(bytes, from: .mouse)
  }

  private func send(_ bytes: [UInt8], from source: PS2Source) -> Int {
    state.withLock { state in
      let count = state.registers.enqueue(bytes, from: source)
      state.registers.fillOutputBuffer()
      state.driveLines()
      return count
    }
  }

  fileprivate func read(isCommand: Bool) -> UInt8 {
    state.withLock { state in
      if isCommand { return state.registers.status }
      let byte = state.registers.takeOutput()
      // A falling edge even if the next byte is there already: the inputs are edge-triggered.
      state.driveLines()
      state.registers.fillOutputBuffer()
      state.driveLines()
      return byte
    }
  }

  fileprivate func write(_ byte: UInt8, isCommand: Bool) {
    let resets = state.withLock { state in
      let resets = isCommand ? state.registers.writeCommand(byte) : state.registers.writeData(byte)
      state.registers.fillOutputBuffer()
      state.driveLines()
      return resets
    }
    if resets { onReset() }
  }
}

/// One of the two ports: a device cannot tell its ranges apart.
private final class KeyboardPort: BusDevice {
  private let controller: KeyboardController
  private let isCommand: Bool

  init(controller: KeyboardController, isCommand: Bool) {
    self.controller = controller
    self.isCommand = isCommand
  }

  func read(offset: UInt64, width: Int) -> UInt64 {
    ByteLanes.read(offset: offset, width: width, registerCount: 1) { _ in
      controller.read(isCommand: isCommand)
    }
  }

  func write(offset: UInt64, width: Int, value: UInt64) {
    guard offset == 0, width > 0 else { return }
    controller.write(UInt8(truncatingIfNeeded: value), isCommand: isCommand)
  }
}
