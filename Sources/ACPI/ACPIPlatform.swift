/// The machine that the tables describe: what differs from one virtual machine to the next.
///
/// What is the same in all of them is in `ACPIFixedHardware`.
public struct ACPIPlatform: Hashable, Sendable {
  /// The APIC id of each vCPU, as its CPUID leaves and KVM's vCPU id have it; strictly ascending,
  /// the boot processor first.
  public let apicIDs: [UInt32]
  /// Where firmware put what has no fixed place.
  public let addresses: ACPIAddresses
  /// Which devices at fixed ports exist.
  public let legacyDevices: LegacyDevices
  /// Nil for a machine without one.
  public let tpm: TPM?
  /// Whether there is a virtual machine generation ID, at `ACPIFixedHardware.generationIDAddress`.
  /// Its event is a general purpose one.
  public let hasGenerationID: Bool
  /// Whether the guest is told of VMBus.
  public let hasVMBus: Bool

  /// A TPM 2.0 behind a command response buffer at `ACPIFixedHardware.tpmAddress`.
  public struct TPM: Hashable, Sendable {
    /// The length of the area for firmware's log of what it measured, which a loader's script
    /// places; 0 for none.
    public var eventLogByteCount: UInt32

    /// What firmware has room for: 64 KiB, the least that the specification allows.
    public static let usualEventLogByteCount: UInt32 = 64 << 10

    public init(eventLogByteCount: UInt32 = usualEventLogByteCount) {
      self.eventLogByteCount = eventLogByteCount
    }
  }

  /// The most vCPUs: each one's name in the namespace has three hexadecimal digits.
  public static let maximumVCPUCount = 4096

  /// The number of vCPUs.
  public var vcpuCount: Int { apicIDs.count }

  /// Describes a machine; ids that contradict each other trap.
  ///
  /// - Parameter apicIDs: 1 to 4096 ids, strictly ascending.
  public init(
    apicIDs: [UInt32], addresses: ACPIAddresses, legacyDevices: LegacyDevices, tpm: TPM? = nil,
    hasGenerationID: Bool = false, hasVMBus: Bool = false
  ) {
    precondition(
      (1...Self.maximumVCPUCount).contains(apicIDs.count), "\(apicIDs.count) vCPUs in ACPI")
    precondition(
      zip(apicIDs, apicIDs.dropFirst()).allSatisfy { $0 < $1 }, "APIC ids \(apicIDs) do not ascend")
    self.apicIDs = apicIDs
    self.addresses = addresses
    self.legacyDevices = legacyDevices
    self.tpm = tpm
    self.hasGenerationID = hasGenerationID
    self.hasVMBus = hasVMBus
  }

  /// Describes a machine with APIC ids 0 to `vcpuCount` - 1.
  public init(
    vcpuCount: Int, addresses: ACPIAddresses, legacyDevices: LegacyDevices, tpm: TPM? = nil,
    hasGenerationID: Bool = false, hasVMBus: Bool = false
  ) {
    precondition(vcpuCount >= 0, "\(vcpuCount) vCPUs in ACPI")
    self.init(
      apicIDs: (0..<vcpuCount).map { UInt32($0) }, addresses: addresses,
      legacyDevices: legacyDevices, tpm: tpm, hasGenerationID: hasGenerationID,
      hasVMBus: hasVMBus)
  }
}

/// Devices at fixed ports that a machine may have or not.
///
/// An operating system looks for none of them that the tables do not name, and waits for some that
/// they name and the machine has not.
public struct LegacyDevices: OptionSet, Hashable, Sendable {
  /// One bit per device.
  public let rawValue: UInt8

  /// Any bits; unknown ones name no device.
  public init(rawValue: UInt8) {
    self.rawValue = rawValue
  }

  /// COM1, a 16550 at 0x3F8 with ISA interrupt 4.
  public static let serialPort1 = LegacyDevices(rawValue: 1 << 0)
  /// An i8042 at 0x60 and 0x64 with a PS/2 keyboard (interrupt 1) and mouse (interrupt 12).
  public static let ps2Controller = LegacyDevices(rawValue: 1 << 1)
  /// The CMOS clock at 0x70 with interrupt 8 and the century in register 0x32.
  public static let realTimeClock = LegacyDevices(rawValue: 1 << 2)
  /// fw_cfg at 0x510–0x51B.
  public static let firmwareConfiguration = LegacyDevices(rawValue: 1 << 3)
  /// A display with VGA's memory at 0xA0000–0xBFFFF.
  public static let vga = LegacyDevices(rawValue: 1 << 4)
}
