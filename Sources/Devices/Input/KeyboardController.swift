public import DeviceKit
internal import HostSystem

/// An i8042, the keyboard and mouse controller of a PC at ports 0x60 (data) and 0x64 (command,
/// status), with a PS/2 keyboard and mouse: AT Translated Set 2, and Microsoft's IntelliMouse
/// Explorer.
///
/// Safe from any thread. Keys and moves wait until the guest reads them, 256 keys and moves between
/// 64 changes of buttons; a guest that does not read loses keys and clicks, and no key stays down
/// for that. Guests also reset by the controller: command 0xFE, or the output port's bit 0.
public final class KeyboardController: KeyboardInput, PointerInput {
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
  ///   - keyboardLine: interrupt 1, asserted while a byte of the keyboard or an answer waits.
  ///   - mouseLine: interrupt 12, asserted while a byte of the mouse waits.
  ///   - onReset: called on the vCPU's thread with no lock held, at each request.
  public init(
    keyboardLine: (any InterruptLine)? = nil, mouseLine: (any InterruptLine)? = nil,
    onReset: @escaping @Sendable () -> Void
  ) {
    state = Guarded(
      State(
        registers: KeyboardControllerState(),
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

  // MARK: KeyboardInput

  public func setKey(_ key: KeyboardKey, isDown: Bool) {
    change { $0.keyboard.setKey(key, isDown: isDown) }
  }

  public var lights: KeyboardLights {
    state.withLock { $0.registers.keyboard.lights }
  }

  // MARK: PointerInput

  public func setPointer(_ state: PointerState) {
    change { $0.mouse.setPointer(state) }
  }

  /// Turns the wheel; there is none to the side.
  public func turnWheel(vertical: Int, horizontal: Int) {
    change { $0.mouse.turnWheel(vertical) }
  }

  // MARK: Ports

  private func change<R>(
    _ body: (inout KeyboardControllerState) -> R
  ) -> R where R: Sendable {
    state.withLock { state in
      let result = body(&state.registers)
      state.registers.fillOutputBuffer()
      state.driveLines()
      return result
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
    let resets = change { isCommand ? $0.writeCommand(byte) : $0.writeData(byte) }
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

extension KeyboardController: StatefulDevice {
  /// The controller with keyboard and mouse.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try state.withLock { (state) throws(StateError) in
      try state.registers.transfer(&transfer)
      if transfer.isRestoring { state.driveLines() }
    }
  }
}
