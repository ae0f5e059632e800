/// Addresses where configuration registers are memory (*ECAM*, PCI Express base specification
/// §7.2.2): 1 MiB for each bus, 4 KiB for each of its functions.
public struct PCIExpressRange: Hashable, Sendable {
  /// The first address, that of bus 0.
  public let start: UInt64
  /// How many buses have registers here.
  public let busCount: Int

  /// A place for the registers of `busCount` buses, 1 to 256.
  public init(start: UInt64, busCount: Int) {
    precondition((1...256).contains(busCount), "ECAM of \(busCount) buses")
    self.start = start
    self.busCount = busCount
  }

  /// All of it, in bytes.
  public var byteCount: UInt64 { UInt64(busCount) << 20 }

  /// The addresses. They end well below 2^64: `HostBridge` has 36 address bits.
  public var addresses: Range<UInt64> { start..<(start + byteCount) }

  /// Bus in bits 27:20 of the offset, device 19:15, function 14:12, register 11:0; nil for a bus
  /// without functions.
  package static func place(_ offset: UInt64) -> (PCIAddress, register: Int)? {
    guard offset < 1 << 20 else { return nil }
    return (PCIAddress(encoded: UInt8(offset >> 12)), Int(offset & 0xFFF))
  }
}
