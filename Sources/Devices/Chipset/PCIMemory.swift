public import DeviceKit

/// What PCI answers in memory: configuration registers where the host bridge has them, and what is
/// behind BARs, all at the addresses that the guest gave them.
///
/// Configuration registers come first, as in the chip set: what firmware puts them onto is not sent
/// on to the bus.
public final class PCIMemory: AddressDecoder {
  private let host: PCIHost
  private let bridge: HostBridge

  /// The memory of `host`, of which `bridge` is the host bridge.
  public init(host: PCIHost, bridge: HostBridge) {
    self.host = host
    self.bridge = bridge
  }

  /// A configuration register, all ones where no function is; or the BAR's answer.
  public func read(at address: UInt64, width: Int) -> UInt64? {
    guard let offset = bridge.configurationOffset(of: address) else {
      return host.readMemory(address, width: width)
    }
    guard let (place, register) = PCIExpressRange.place(offset) else { return .max }
    return host.readConfiguration(place, offset: register, width: width)
  }

  /// Writes a configuration register, or hands the write to the BAR.
  public func write(at address: UInt64, width: Int, value: UInt64) -> Bool {
    guard let offset = bridge.configurationOffset(of: address) else {
      return host.writeMemory(address, width: width, value: value)
    }
    if let (place, register) = PCIExpressRange.place(offset) {
      host.writeConfiguration(place, offset: register, width: width, value: value)
    }
    return true
  }
}

/// Ports whose place the guest programs: those of ACPI, behind the ISA bridge, and those behind
/// BARs.
public final class PCIPorts: AddressDecoder {
  private let host: PCIHost
  private let bridge: ISABridge

  /// The ports of `host`, of which `bridge` is the ISA bridge.
  public init(host: PCIHost, bridge: ISABridge) {
    self.host = host
    self.bridge = bridge
  }

  /// An ACPI register, or the BAR's answer.
  public func read(at address: UInt64, width: Int) -> UInt64? {
    bridge.read(at: address, width: width) ?? host.readPort(address, width: width)
  }

  /// Writes an ACPI register, or hands the write to the BAR.
  public func write(at address: UInt64, width: Int, value: UInt64) -> Bool {
    bridge.write(at: address, width: width, value: value)
      || host.writePort(address, width: width, value: value)
  }
}
