public import DeviceKit

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
