public import DeviceKit
internal import HostSystem

/// Three registers by which a guest program reports numbered 64-bit values.
///
/// | port | write |
/// | --- | --- |
/// | 0xE0 | the key; commits the report |
/// | 0xE4 | the value's low 32 bits |
/// | 0xE8 | the value's high 32 bits |
///
/// The registers are 4 bytes wide but each claims one port, for the debug console's 0xE9 lies among
/// their bytes. So there is one `BusDevice` per register (`attachments`) and none for the whole.
/// Narrow writes are zero-extended. A commit leaves the value as it is; it begins as 0. Registers
/// are shared by all vCPUs: guests that report from several take turns themselves.
public final class ReportPort: Sendable {
  private struct Value {
    var low: UInt32 = 0
    var high: UInt32 = 0
  }

  private let value = Guarded(Value())
  private let onReport: @Sendable (UInt32, UInt64) -> Void

  /// Registers that hand each report's key and value to `onReport`, on the committing vCPU's
  /// thread, with no lock held. One vCPU's reports arrive in its order.
  public init(onReport: @escaping @Sendable (_ key: UInt32, _ value: UInt64) -> Void) {
    self.onReport = onReport
  }

  /// What to put on a `PortBus`: the registers at their ports, in the order of the table above.
  public var attachments: [(PortRange, any BusDevice)] {
    let key = SignalPort { self.commit(key: $0) }
    let low = SignalPort { low in self.value.withLock { $0.low = low } }
    let high = SignalPort { high in self.value.withLock { $0.high = high } }
    return [
      (PortRange(start: 0xE0, count: 1), key),
      (PortRange(start: 0xE4, count: 1), low),
      (PortRange(start: 0xE8, count: 1), high),
    ]
  }

  private func commit(key: UInt32) {
    let value = value.withLock { UInt64($0.high) << 32 | UInt64($0.low) }
    onReport(key, value)
  }
}
