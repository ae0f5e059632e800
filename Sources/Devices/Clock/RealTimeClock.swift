internal import ZeroTracker

/// The PC's real-time clock and its battery-backed memory: index at port 0x70, data at 0x71.
///
/// The time is the host's plus an offset, which the guest changes by setting the clock. Each time
/// register is read once from one moment's snapshot, so that a set of reads never tears. Interrupts are
/// noticed when the clock is accessed or `update()` is called: there is no timer thread.
public final class RealTimeClock: BusDevice {
  /// Ports 0x70 and 0x71.
  public static let ports = PortRange(start: 0x70, count: 2)

  private struct Registers {
    var index = 0
    var clock: RTCState
    var line: DrivenLine
  }

  private let state: Guarded<Registers>
  private let nanosecondsSince1970: @Sendable () -> Int64

  /// A clock that shows the host's time.
  ///
  /// - Parameters:
  ///   - utcOffsetSeconds: 0 to show UTC; for local time what the zone adds, as Windows expects.
  ///   - memory: presets by register, 0x0E to 0x7F; others are ignored.
  ///   - line: interrupt 8, asserted from an enabled event until register C is read.
  ///   - nanosecondsSince1970: the host's clock, UTC; it may be stepped. Called with a lock held.
  public init(
    utcOffsetSeconds: Int32 = 0, memory: [UInt8: UInt8] = [:], line: (any InterruptLine)? = nil,
    nanosecondsSince1970: @escaping @Sendable () -> Int64
  ) {
    var bytes = [UInt8](repeating: 0, count: RTCState.registerCount)
    for (index, value) in memory where (0x0E...0x7F).contains(index) { bytes[Int(index)] = value }
    let clock = RTCState(
      hostTime: Int128(nanosecondsSince1970()),
      offset: Int128(utcOffsetSeconds) * 1_000_000_000, memory: bytes)
    state = Guarded(Registers(clock: clock, line: DrivenLine(line)))
    self.nanosecondsSince1970 = nanosecondsSince1970
  }

  /// Notices events since the last access and drives the line; for a timer of the machine.
  public func update() {
    state.withLock { state in
      let now = Int128(nanosecondsSince1970())
      state.clock.update(hostTime: now)
      state.line.set(state.clock.isInterrupting)
    }
  }

  /// At offset 1 the selected register; the index itself cannot be read (0xFF).
  public func read(offset: UInt64, width: Int) -> UInt64 {
    return state.withLock { state in
      let now = Int128(nanosecondsSince1970())
      let value = ByteLanes.read(offset: offset, width: width, registerCount: 2) { port in
        port == 1 ? state.clock.read(state.index, hostTime: now) : 0xFF
      }
      state.line.set(state.clock.isInterrupting)
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
      state.line.set(state.clock.isInterrupting)
    }
  }
}
