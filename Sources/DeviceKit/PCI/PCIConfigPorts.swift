internal import HostSystem

/// Configuration registers by ports (*CONFIG_ADDRESS*, *CONFIG_DATA*, PCI 3.0 §3.2.2.3.2): the
/// first 256 bytes of each function of bus 0.
///
/// The address register exists for 4-byte accesses only; port 0xCF9 among its bytes is the reset
/// control register of the chipset, which is another device.
public final class PCIConfigPorts: BusDevice {
  /// The ports to claim.
  public static let ports = PortRange(start: 0xCF8, count: 8)

  private let host: PCIHost
  private let resetControl: (any BusDevice)?
  private let address = Guarded<UInt32>(0)

  /// Ports for the functions of `host`.
  ///
  /// - Parameter resetControl: gets byte accesses at port 0xCF9, at offset 0.
  public init(host: PCIHost, resetControl: (any BusDevice)? = nil) {
    self.host = host
    self.resetControl = resetControl
  }

  /// The address register, a register's value, or all ones.
  public func read(offset: UInt64, width: Int) -> UInt64 {
    switch (offset, width) {
    case (0, 4):
      return UInt64(address.withLock { $0 })
    case (1, 1):
      return resetControl?.read(offset: 0, width: 1) ?? .max
    case (4...7, _):
      guard let (place, register) = place(offset) else { return .max }
      let count = Self.bytesInRegister(offset, width)
      let beyond = count < 8 ? UInt64.max << (8 * UInt64(count)) : 0
      return host.readConfiguration(place, offset: register, width: count) | beyond
    default:
      return .max
    }
  }

  /// Sets the address register or writes a register; drops what is neither.
  public func write(offset: UInt64, width: Int, value: UInt64) {
    switch (offset, width) {
    case (0, 4):
      address.withLock { $0 = UInt32(truncatingIfNeeded: value) & Self.writableMask }
    case (1, 1):
      resetControl?.write(offset: 0, width: 1, value: value)
    case (4...7, _):
      guard let (place, register) = place(offset) else { return }
      let count = Self.bytesInRegister(offset, width)
      host.writeConfiguration(place, offset: register, width: count, value: value)
    default:
      return
    }
  }

  /// After a reset nothing is addressed.
  public func reset() {
    address.withLock { $0 = 0 }
  }

  /// Enable (31), bus (23:16), device (15:11), function (10:8), register (7:2); the rest reads 0.
  private static let writableMask: UInt32 = 0x80FF_FFFC

  /// An access that begins in the 4 data ports ends there.
  private static func bytesInRegister(_ offset: UInt64, _ width: Int) -> Int {
    min(width, 8 - Int(offset))
  }

  private func place(_ offset: UInt64) -> (PCIAddress, Int)? {
    let address = address.withLock { $0 }
    guard address >> 31 == 1, (address >> 16) & 0xFF == 0 else { return nil }
    let place = PCIAddress(encoded: UInt8((address >> 8) & 0xFF))
    return (place, Int(address & 0xFC) + Int(offset - 4))
  }
}

extension PCIConfigPorts: StatefulDevice {
  /// The address register; the other device saves itself.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try address.withLock { (address) throws(StateError) in
      try transfer.integer(&address)
      address &= Self.writableMask
    }
  }
}
