public import DeviceKit
package import HostSystem

/// The PC's real-time clock and its battery-backed memory: index at port 0x70, data at 0x71.
///
/// The time is the host's plus an offset, which the guest changes by setting the clock. Each time
/// register is read once from one moment's snapshot, so that a set of reads never tears. Interrupts
/// come by themselves once `startTimer` was called; before, they are noticed at the next access.
public final class RealTimeClock: BusDevice {
  /// Ports 0x70 and 0x71.
  public static let ports = PortRange(start: 0x70, count: 2)

  /// What the battery keeps when the machine is reset or switched off: memory, the time that the
  /// guest has set, and in which format. Not which interrupts are enabled.
  public struct Kept: Sendable {
    private(set) var state: RTCState.Kept

    init(_ state: RTCState.Kept) {
      self.state = state
    }

    /// A clock with a new battery.
    ///
    /// - Parameters:
    ///   - utcOffsetSeconds: 0 to show UTC; for local time what the zone adds, as Windows expects.
    ///   - memory: presets by register, 0x0E to 0x7F; others are ignored.
    public init(utcOffsetSeconds: Int32 = 0, memory: [UInt8: UInt8] = [:]) {
      state = RTCState.Kept(
        memory: [UInt8](repeating: 0, count: RTCState.registerCount),
        offset: Int128(utcOffsetSeconds) * 1_000_000_000)
      preset(memory)
    }

    /// Writes memory by register, 0x0E to 0x7F, as firmware does before it starts a system; others
    /// are ignored.
    public mutating func preset(_ memory: [UInt8: UInt8]) {
      for (index, value) in memory where (0x0E...0x7F).contains(index) {
        state.memory[Int(index)] = value
      }
    }
  }

  private struct Registers {
    var index = 0
    var clock: RTCState
    var line: DrivenLine
    /// When `update()` is to be called.
    var nextInterrupt: Int64?
    var timer: WallClockTimer?
    var isAlarming = false
  }

  private let state: Guarded<Registers>
  private let nanosecondsSince1970: @Sendable () -> Int64
  private let onNextInterrupt: @Sendable (Int64?) -> Void
  private let onAlarm: @Sendable () -> Void

  /// A clock after a reset.
  ///
  /// - Parameters:
  ///   - kept: what the battery has kept.
  ///   - line: interrupt 8, asserted from an enabled event until register C is read.
  ///   - nanosecondsSince1970: the host's clock, UTC; it may be stepped. Called with a lock held.
  ///   - onNextInterrupt: told when, by the host's clock, an interrupt is due next (nil: none),
  ///     whenever that changes. Called with a lock held. Not needed where there is a timer.
  ///   - onAlarm: called with a lock held when an alarm begins to interrupt: a sleeping machine
  ///     wakes.
  public init(
    _ kept: Kept = Kept(), line: (any InterruptLine)? = nil,
    nanosecondsSince1970: @escaping @Sendable () -> Int64,
    onNextInterrupt: @escaping @Sendable (Int64?) -> Void = { _ in },
    onAlarm: @escaping @Sendable () -> Void = {}
  ) {
    let clock = RTCState(kept.state, hostTime: Int128(nanosecondsSince1970()))
    state = Guarded(Registers(clock: clock, line: DrivenLine(line)))
    self.nanosecondsSince1970 = nanosecondsSince1970
    self.onNextInterrupt = onNextInterrupt
    self.onAlarm = onAlarm
  }

  /// Starts a thread that has interrupts come by themselves. It sleeps while none is enabled, and
  /// while one is asserted. Once.
  ///
  /// - Parameter onThreadStart: what the thread does first of all.
  package func startTimer(
    onThreadStart: @escaping @Sendable () -> Void
  ) throws(HostThread.Failure) {
    let timer = try WallClockTimer(onThreadStart: onThreadStart) { [weak self] in self?.update() }
    state.withLock { state in
      state.timer = timer
      timer.set(state.nextInterrupt)
    }
  }

  /// Ends the thread. May be called again.
  package func stopTimer() {
    // Not under the lock, which the thread may want.
    let timer = state.withLock { state in
      defer { state.timer = nil }
      return state.timer
    }
    timer?.stop()
  }

  /// What the battery keeps from now on.
  public var kept: Kept {
    Kept(state.withLock { $0.clock.kept })
  }

  /// Notices events since the last access and drives the line.
  public func update() {
    state.withLock { state in
      let now = Int128(nanosecondsSince1970())
      state.clock.update(hostTime: now)
      drive(&state, now)
    }
  }

  /// At offset 1 the selected register; the index itself cannot be read (0xFF).
  public func read(offset: UInt64, width: Int) -> UInt64 {
    return state.withLock { state in
      let now = Int128(nanosecondsSince1970())
      let value = ByteLanes.read(offset: offset, width: width, registerCount: 2) { port in
        port == 1 ? state.clock.read(state.index, hostTime: now) : 0xFF
      }
      drive(&state, now)
      return value
    }
  }

  /// At offset 0 selects a register, bit 7 (the NMI mask) ignored; at offset 1 writes it.
  public func write(offset: UInt64, width: Int, value: UInt64) {
    state.withLock { state in
      let now = Int128(nanosecondsSince1970())
      ByteLanes.write(offset: offset, width: width, value: value, registerCount: 2) { port, byte in
        if port == 0 {
          state.index = Int(byte & 0x7F)
        } else {
          state.clock.write(state.index, byte, hostTime: now)
        }
      }
      drive(&state, now)
    }
  }

  private func drive(_ state: inout Registers, _ now: Int128) {
    state.line.set(state.clock.isInterrupting)
    let isAlarming = state.clock.isAlarmInterrupting
    if isAlarming, !state.isAlarming { onAlarm() }
    state.isAlarming = isAlarming
    let next = state.clock.nextInterrupt(after: now).map { Int64(clamping: $0) }
    guard next != state.nextInterrupt else { return }
    state.nextInterrupt = next
    state.timer?.set(next)
    onNextInterrupt(next)
  }
}

extension RealTimeClock: StatefulDevice {
  /// The registers. The time is the host's, as before, with what the guest has set: an alarm that
  /// has passed meanwhile sounds now.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try state.withLock { (state) throws(StateError) in
      try transfer.integer(&state.index, in: 0...0x7F)
      try state.clock.transfer(&transfer)
      try transfer.flag(&state.isAlarming)
      guard transfer.isRestoring else { return }
      let now = Int128(nanosecondsSince1970())
      state.clock.update(hostTime: now)
      drive(&state, now)
    }
  }
}
