/// The addresses where BARs can be: hands each access to the BAR that is there at that moment.
public final class PCIMemoryWindow: BusDevice {
  /// The 32-bit window of our memory map: 960 MiB below the APICs.
  public static let standard: Range<UInt64> = 0xC000_0000..<0xFC00_0000

  private let host: PCIHost
  private let start: UInt64

  /// A window that the bus claims from `start` on.
  public init(host: PCIHost, start: UInt64 = PCIMemoryWindow.standard.lowerBound) {
    self.host = host
    self.start = start
  }

  /// The BAR's answer; all ones where none is, or where the access leaves it.
  public func read(offset: UInt64, width: Int) -> UInt64 {
    host.readMemory(start &+ offset, width: width) ?? .max
  }

  /// Hands the write to the BAR; dropped where none is, or where the access leaves it.
  public func write(offset: UInt64, width: Int, value: UInt64) {
    host.writeMemory(start &+ offset, width: width, value: value)
  }
}
