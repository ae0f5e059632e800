/// Configuration registers in memory (*ECAM*, PCI Express base specification §7.2.2): 4 KiB for each
/// function of 256 buses, of which bus 0 has functions.
public final class PCIExpressConfigSpace: BusDevice {
  /// Where our memory map has it: 256 MiB at 0xB0000000.
  public static let standard: Range<UInt64> = 0xB000_0000..<0xC000_0000

  private let host: PCIHost

  /// The registers of all functions of `host`.
  public init(host: PCIHost) {
    self.host = host
  }

  /// The register's value; all ones where no function is.
  public func read(offset: UInt64, width: Int) -> UInt64 {
    guard let (address, register) = Self.place(offset) else { return .max }
    return host.readConfiguration(address, offset: register, width: width)
  }

  /// Writes the register; dropped where no function is.
  public func write(offset: UInt64, width: Int, value: UInt64) {
    guard let (address, register) = Self.place(offset) else { return }
    host.writeConfiguration(address, offset: register, width: width, value: value)
  }

  /// Bus in bits 27:20, device 19:15, function 14:12, register 11:0; nil on other buses than 0.
  private static func place(_ offset: UInt64) -> (PCIAddress, Int)? {
    guard offset < 1 << 20 else { return nil }
    return (PCIAddress(encoded: UInt8(offset >> 12)), Int(offset & 0xFFF))
  }
}
