public import DeviceKit
internal import HostSystem

/// System control port A, port 0x92: the fast A20 gate and the fast reset.
public final class SystemControlPort: BusDevice {
  /// Port 0x92.
  public static let ports = PortRange(start: 0x92, count: 1)
  private static let fastReset: UInt8 = 0x01
  private static let addressLine20: UInt8 = 0x02

  private let value = Guarded<UInt8>(SystemControlPort.addressLine20)
  private let onReset: @Sendable () -> Void

  /// A port that calls `onReset` on the vCPU's thread, with no lock held, when bit 0 is written
  /// as 1.
  public init(onReset: @escaping @Sendable () -> Void) {
    self.onReset = onReset
  }

  /// The A20 bit as written, at first 1; the gate itself is always open.
  public func read(offset: UInt64, width: Int) -> UInt64 {
    ByteLanes.read(offset: offset, width: width, registerCount: 1) { _ in value.withLock { $0 } }
  }

  /// Keeps the A20 bit; resets if bit 0 is set.
  public func write(offset: UInt64, width: Int, value: UInt64) {
    guard offset == 0, width > 0 else { return }
    let byte = UInt8(truncatingIfNeeded: value)
    self.value.withLock { $0 = byte & Self.addressLine20 }
    if byte & Self.fastReset != 0 { onReset() }
  }
}
