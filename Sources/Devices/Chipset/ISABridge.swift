public import DeviceKit
internal import Synchronization

/// The LPC bridge of the ICH9 (8086:2918) at 00:1f.0: where firmware finds the ACPI ports and
/// behind which it finds serial port and keyboard.
///
/// *PMBASE* and *ACPI_CNTL* act: they place the ACPI ports and choose their interrupt; with system
/// management mode *SMI_LOCK* does. The others store. PCI's interrupts are wired to the I/O APIC
/// whatever *PIRQ_ROUT* says, as the ACPI tables have it, and nothing answers at *RCBA*.
public final class ISABridge: PCIFunction, AddressDecoder {
  /// Where firmware and drivers expect it.
  public static let address = PCIAddress(device: 0x1F)
  /// The interrupts that the SCI can be led to, in the order of *SCI_IRQ_SEL*'s values without the
  /// reserved one.
  public static let systemControlInterrupts: [UInt8] = [9, 10, 11, 20, 21, 22, 23]

  private enum Register {
    /// *PMBASE*: bits 15:7 are the address; bit 0 is fixed and says that it is a port.
    static let powerManagement = 0x40
    /// *ACPI_CNTL*: bit 7 turns the ports on, bits 2:0 choose the SCI's interrupt.
    static let acpiControl = 0x44
    /// *PIRQA_ROUT* to *PIRQD_ROUT*; those of E to H are 8 bytes further.
    static let interruptRouting = 0x60
    /// *GEN_PMCON_1* to *GEN_PMCON_3*, 16 bits each.
    static let generalPowerManagement = 0xA0
    /// *RCBA*: bits 31:14 are the address, bit 0 turns it on.
    static let rootComplexBase = 0xF0
  }

  private static let acpiEnable: UInt8 = 0x80
  /// *SMI_LOCK* of *GEN_PMCON_1*.
  private static let managementLock: UInt16 = 1 << 4
  private static let interruptSelect: UInt8 = 0x07
  private static let rootComplexEnable: UInt32 = 1
  /// Above a port, in `decoded`.
  private static let isDecoded: UInt32 = 1 << 16

  /// Its configuration registers; it neither reaches memory nor interrupts.
  public let endpoint: PCIEndpoint

  private let power: any BusDevice
  private let systemControl: SelectableLine?
  private let management: SystemManagementControl?
  /// The first ACPI port and whether it is decoded. On its own, as guests wait by reading the
  /// timer.
  private let decoded = Atomic<UInt32>(0)

  /// A bridge as after reset: no ACPI ports are decoded.
  ///
  /// - Parameters:
  ///   - power: what is behind the ACPI ports, `PowerManagement.portCount` of them.
  ///   - systemControl: the SCI's wire, with a line for each of `systemControlInterrupts`.
  ///   - management: what *SMI_LOCK* locks; nil without system management mode.
  public init(
    power: any BusDevice, systemControl: SelectableLine? = nil,
    management: SystemManagementControl? = nil
  ) {
    var space = PCIConfigurationSpace(
      identity: PCIIdentity(vendor: 0x8086, device: 0x2918, revision: 2, classCode: 0x06_0100))
    space.preset(UInt32(1), at: Register.powerManagement)
    space.makeWritable(UInt32(0xFF80), at: Register.powerManagement)
    space.makeWritable(Self.acpiEnable | Self.interruptSelect, at: Register.acpiControl)
    for offset in [Register.interruptRouting, Register.interruptRouting + 8] {
      // Bit 7: not routed to the PIC. Bits 3:0: the interrupt.
      space.preset(UInt32(0x8080_8080), at: offset)
      space.makeWritable(UInt32(0x8F8F_8F8F), at: offset)
    }
    space.makeWritable(UInt64(0xFFFF_FFFF_FFFF), at: Register.generalPowerManagement)
    space.makeWritable(UInt32(0xFFFF_C000) | Self.rootComplexEnable, at: Register.rootComplexBase)
    endpoint = PCIEndpoint(space)
    self.power = power
    self.systemControl = systemControl
    self.management = management
  }

  /// The first ACPI port, as *PMBASE* has it, decoded or not.
  public var powerManagementBase: UInt16 {
    configuration.update { Self.powerManagementBase($0) }
  }

  /// The SCI's interrupt, as *ACPI_CNTL* has it.
  public var systemControlInterrupt: UInt8 {
    Self.systemControlInterrupts[configuration.update { Self.selectedLine($0) }]
  }

  /// Where firmware put the root complex' registers, 16 KiB; nil if it did not turn them on.
  public var rootComplexBase: UInt32? {
    let value: UInt32 = configuration.update { $0.value(at: Register.rootComplexBase) }
    return value & Self.rootComplexEnable == 0 ? nil : value & ~Self.rootComplexEnable
  }

  /// Programs *PMBASE* and *ACPI_CNTL*, as firmware does.
  ///
  /// - Parameter port: a multiple of 128; other bits are dropped, as in the register.
  public func placePowerManagement(at port: UInt16) {
    configuration.write(offset: Register.powerManagement, width: 4, value: UInt64(port))
    configuration.write(
      offset: Register.acpiControl, width: 1, value: UInt64(Self.acpiEnable))
    configurationChanged()
  }

  /// Follows *PMBASE*, *ACPI_CNTL* and *SMI_LOCK*.
  public func configurationChanged() {
    configuration.update { space in
      let general: UInt16 = space.value(at: Register.generalPowerManagement)
      if general & Self.managementLock != 0, let management {
        management.lock()
        // The bit stays until a reset.
        space.makeWritable(~Self.managementLock, at: Register.generalPowerManagement)
      }
      let control: UInt8 = space.value(at: Register.acpiControl)
      let isDecoded = control & Self.acpiEnable != 0
      // In the lock, so that of two writes the later one stays. Relaxed, here and below: the value
      // is all that is shared.
      decoded.store(
        isDecoded ? UInt32(Self.powerManagementBase(space)) | Self.isDecoded : 0,
        ordering: .relaxed)
      systemControl?.select(Self.selectedLine(space))
    }
  }

  /// No ports are decoded again.
  public func reset() {
    endpoint.reset()
    configurationChanged()
  }

  // MARK: The ports

  /// An ACPI register; nil for any other port.
  public func read(at address: UInt64, width: Int) -> UInt64? {
    powerManagementOffset(of: address).map { power.read(offset: $0, width: width) }
  }

  /// Writes an ACPI register; false for any other port.
  public func write(at address: UInt64, width: Int, value: UInt64) -> Bool {
    guard let offset = powerManagementOffset(of: address) else { return false }
    power.write(offset: offset, width: width, value: value)
    return true
  }

  private func powerManagementOffset(of port: UInt64) -> UInt64? {
    let decoded = decoded.load(ordering: .relaxed)
    guard decoded & Self.isDecoded != 0 else { return nil }
    // Wraps for ports below, which are then past the end, too.
    let offset = port &- UInt64(decoded & ~Self.isDecoded)
    return offset < UInt64(PowerManagement.portCount) ? offset : nil
  }

  private static func powerManagementBase(_ space: PCIConfigurationSpace) -> UInt16 {
    space.value(at: Register.powerManagement, as: UInt16.self) & 0xFF80
  }

  /// An index of `systemControlInterrupts`. The reserved value is taken as the first one.
  private static func selectedLine(_ space: PCIConfigurationSpace) -> Int {
    let value = Int(space.value(at: Register.acpiControl, as: UInt8.self) & interruptSelect)
    return switch value {
    case 0...2: value
    case 4...7: value - 1
    default: 0
    }
  }
}

extension ISABridge {
  /// The registers, and what follows from them.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try endpoint.transferState(&transfer)
    if transfer.isRestoring { configurationChanged() }
  }
}
