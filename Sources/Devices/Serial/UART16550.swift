public import DeviceKit
internal import HostSystem

/// Takes what the guest sends: one byte, on the writing vCPU's thread, with no lock held.
public typealias SerialSink = @Sendable (UInt8) -> Void

/// What a UART is doing, for people who ask why a guest hangs.
public struct UARTActivity: Hashable, Sendable {
  /// Bytes that the guest has not read.
  public let receivedByteCount: Int
  /// *IER*.
  public let enabledInterrupts: UInt8
  /// Whether it drives its interrupt line.
  public let isInterrupting: Bool
}

/// A 16550A UART as in a PC, with a terminal attached that is always ready.
///
/// Bytes leave at once, whatever the divisor. Left out: parity, framing and break conditions, which
/// a line without noise does not have, and the DMA signals.
public final class UART16550: BusDevice {
  /// *COM1*, interrupt 4.
  public static let firstSerialPort = PortRange(start: 0x3F8, count: 8)

  private struct State {
    var registers = UARTState()
    /// Set by a `receive` that could not take everything.
    var owesRoomNotice = false
    var line: DrivenLine
  }

  private let state: Guarded<State>
  private let sink: SerialSink
  private let onRoom: @Sendable () -> Void

  /// A UART as after reset.
  ///
  /// - Parameters:
  ///   - line: the interrupt line, asserted while a cause is pending and *MCR.OUT2* is set.
  ///   - onRoom: called once after a `receive` that took less than it was given, when the guest has
  ///     emptied the receiver; on a vCPU's thread, with no lock held. It may call `receive`.
  ///   - sink: takes the output.
  public init(
    line: (any InterruptLine)? = nil, onRoom: @escaping @Sendable () -> Void = {},
    sink: @escaping SerialSink
  ) {
    state = Guarded(State(line: DrivenLine(line)))
    self.onRoom = onRoom
    self.sink = sink
  }

  /// Hands input to the guest, from any thread.
  ///
  /// - Returns: how many of the bytes, from the first, were taken: what the receiver has room for.
  ///   If not all, `onRoom` tells when to offer the rest.
  public func receive(_ bytes: [UInt8]) -> Int {
    state.withLock { state in
      let count = min(bytes.count, state.registers.room)
      for byte in bytes.prefix(count) { state.registers.receive(byte) }
      if count < bytes.count { state.owesRoomNotice = true }
      Self.driveLine(&state)
      return count
    }
  }

  /// Reads one register per byte of the width.
  public func read(offset: UInt64, width: Int) -> UInt64 {
    let (value, hasRoom) = state.withLock { state in
      let value = ByteLanes.read(
        offset: offset, width: width, registerCount: UARTRegister.count
      ) { state.registers.read($0) }
      Self.driveLine(&state)
      return (value, Self.takeRoomNotice(&state))
    }
    if hasRoom { onRoom() }
    return value
  }

  /// Writes one register per byte of the width.
  public func write(offset: UInt64, width: Int, value: UInt64) {
    // Only the data register sends, and it is at the lowest offset: at most one byte leaves.
    let (sent, hasRoom) = state.withLock { state in
      var sent: UInt8?
      ByteLanes.write(
        offset: offset, width: width, value: value, registerCount: UARTRegister.count
      ) { register, byte in
        sent = state.registers.write(register, byte) ?? sent
      }
      Self.driveLine(&state)
      return (sent, Self.takeRoomNotice(&state))
    }
    if let sent { sink(sent) }
    if hasRoom { onRoom() }
  }

  /// What it is doing; nil if its lock is not free within a moment. Any thread.
  public var activity: UARTActivity? {
    state.withLockSoon { $0.registers.activity }
  }

  private static func driveLine(_ state: inout State) {
    state.line.set(state.registers.isInterrupting)
  }

  private static func takeRoomNotice(_ state: inout State) -> Bool {
    guard state.owesRoomNotice, state.registers.isReceiverEmpty, state.registers.room > 0 else {
      return false
    }
    state.owesRoomNotice = false
    return true
  }
}

extension UART16550: StatefulDevice {
  /// The registers and what has been received.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try state.withLock { (state) throws(StateError) in
      try state.registers.transfer(&transfer)
      guard transfer.isRestoring else { return }
      // Whoever sends comes anew.
      state.owesRoomNotice = false
      Self.driveLine(&state)
    }
  }
}
