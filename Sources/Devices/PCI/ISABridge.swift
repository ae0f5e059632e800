/// The LPC bridge of the ICH9 (8086:2918) at 00:1f.0: where firmware finds the ACPI ports and behind which
/// it finds serial port and keyboard.
///
/// Its registers store; the ports are where the VMM put them, which the preset values say.
public final class ISABridge: PCIFunction {
  /// Where firmware and drivers expect it.
  public static let address = PCIAddress(device: 0x1F)
  /// The ACPI ports: 128 from here on.
  public static let powerManagementBase: UInt16 = 0x600

  /// *PMBASE*.
  private static let powerManagement = 0x40
  /// *ACPI_CNTL*.
  private static let acpiControl = 0x44
  /// *PIRQA_ROUT* to *PIRQD_ROUT*; those of E to H are 8 bytes further.
  private static let interruptRouting = 0x60
  /// *RCBA*.
  private static let rootComplexBase = 0xF0

  /// Its configuration registers.
  public let configuration: PCIConfiguration

  /// A bridge as if firmware had already set up the ACPI ports, for guests that boot without any.
  public init() {
    var space = PCIConfigurationSpace(
      identity: PCIIdentity(vendor: 0x8086, device: 0x2918, revision: 2, classCode: 0x06_0100))
    // Bit 0 is fixed: an I/O address. Bits 15:7 are the address.
    space.preset(UInt32(Self.powerManagementBase) | 1, at: Self.powerManagement)
    space.makeWritable(UInt32(0xFF80), at: Self.powerManagement)
    // Bit 7 turns the ports on; bits 2:0 choose the SCI's interrupt, 0 for 9.
    space.preset(UInt8(0x80), at: Self.acpiControl)
    space.makeWritable(UInt8(0x87), at: Self.acpiControl)
    for offset in [Self.interruptRouting, Self.interruptRouting + 8] {
      // Bit 7: not routed to the PIC. Bits 3:0: the interrupt.
      space.preset(UInt32(0x8080_8080), at: offset)
      space.makeWritable(UInt32(0x8F8F_8F8F), at: offset)
    }
    space.makeWritable(UInt32(0xFFFF_C001), at: Self.rootComplexBase)
    configuration = PCIConfiguration(space)
  }
}
