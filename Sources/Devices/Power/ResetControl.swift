public import DeviceKit
internal import HostSystem

/// The reset control register, *RST_CNT*, port 0xCF9; the ACPI reset register of the FADT.
///
/// The port lies inside the PCI configuration address register at 0xCF8. That device, where there
/// is one, claims the range and passes accesses of one byte at 0xCF9 on.
public final class ResetControl: BusDevice {
  /// Port 0xCF9.
  public static let ports = PortRange(start: 0xCF9, count: 1)
  /// *RST_CPU*: resets.
  private static let reset: UInt8 = 0x04
  /// *SYS_RST*, *RST_CPU*, *FULL_RST*.
  private static let mask: UInt8 = 0x0E

  private let value = Guarded<UInt8>(0)
  private let onReset: @Sendable () -> Void

  /// A register that calls `onReset` on the vCPU's thread, with no lock held, when *RST_CPU* is
  /// written: 0x06 and 0x0E are usual. A hard, a full and a processor reset are the same to us.
  public init(onReset: @escaping @Sendable () -> Void) {
    self.onReset = onReset
  }

  /// What was written, without reserved bits.
  public func read(offset: UInt64, width: Int) -> UInt64 {
    ByteLanes.read(offset: offset, width: width, registerCount: 1) { _ in value.withLock { $0 } }
  }

  /// Keeps the value; resets if *RST_CPU* is set.
  public func write(offset: UInt64, width: Int, value: UInt64) {
    guard offset == 0, width > 0 else { return }
    let byte = UInt8(truncatingIfNeeded: value) & Self.mask
    self.value.withLock { $0 = byte }
    if byte & Self.reset != 0 { onReset() }
  }
}
