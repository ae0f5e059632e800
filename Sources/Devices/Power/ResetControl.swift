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

extension ResetControl: StatefulDevice {
  /// The register.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try value.withLock { (value) throws(StateError) in try transfer.integer(&value) }
  }
}

extension SystemControlPort: StatefulDevice {
  /// The register.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try value.withLock { (value) throws(StateError) in try transfer.integer(&value) }
  }
}
