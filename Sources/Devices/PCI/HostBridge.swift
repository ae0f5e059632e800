/// The memory controller hub of the Q35 chipset (8086:29C0) at 00:00.0, as far as firmware looks at it.
public final class HostBridge: PCIFunction {
  /// Where firmware and drivers expect it.
  public static let address = PCIAddress(device: 0)

  /// *PCIEXBAR*, low and high half.
  private static let expressBaseLow = 0x60
  private static let expressBaseHigh = 0x64

  /// Its configuration registers.
  public let configuration: PCIConfiguration

  /// A bridge whose *PCIEXBAR* says that ECAM is on at `PCIExpressConfigSpace.standard`.
  ///
  /// The guest can write the register and reads back what it wrote, but ECAM does not move: firmware for
  /// this chipset puts it just there.
  public init() {
    var space = PCIConfigurationSpace(
      identity: PCIIdentity(vendor: 0x8086, device: 0x29C0, classCode: 0x06_0000))
    let start = PCIExpressConfigSpace.standard.lowerBound
    // Bit 0 turns it on; the length in bits 2:1 is 0, 256 MiB.
    space.preset(UInt32(start) | 1, at: Self.expressBaseLow)
    space.makeWritable(UInt32(0xF000_0007), at: Self.expressBaseLow)
    // 36 address bits.
    space.makeWritable(UInt32(0xF), at: Self.expressBaseHigh)
    configuration = PCIConfiguration(space)
  }
}
