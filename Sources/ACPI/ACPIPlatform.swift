/// The machine that the tables describe: what differs from one virtual machine to the next.
///
/// What is the same in all of them is in `ACPIFixedHardware`.
public struct ACPIPlatform: Hashable, Sendable {
  /// The APIC id of each vCPU, as its CPUID leaves and KVM's vCPU id have it; strictly ascending,
  /// the boot processor first.
  public let apicIDs: [UInt32]
  /// The 32-bit addresses that PCI BARs may have.
  public let pciMemoryWindow: ClosedRange<UInt32>
  /// The addresses from 4 GiB on that 64-bit PCI BARs may have, besides the 32-bit ones; nil for
  /// none.
  public let pciMemory64Window: ClosedRange<UInt64>?
  /// The first byte of the PCI configuration space (*ECAM*): 256 MiB for segment 0, buses 0
  /// to 255.
  public let ecamBase: UInt32
  /// Which devices at fixed ports exist.
  public let legacyDevices: LegacyDevices

  /// The ECAM's length: 4 KiB for each of 8 functions of 32 devices on 256 buses.
  public static let ecamByteCount: UInt32 = 256 << 20
  /// Where firmware for this chip set puts the ECAM.
  public static let defaultECAMBase: UInt32 = 0xB000_0000
  /// The window below the I/O APIC that firmware for this chip set uses.
  public static let defaultPCIMemoryWindow: ClosedRange<UInt32> = 0xC000_0000...0xFBFF_FFFF
  /// The most vCPUs: each one's name in the namespace has three hexadecimal digits.
  public static let maximumVCPUCount = 4096

  /// The number of vCPUs.
  public var vcpuCount: Int { apicIDs.count }

  /// Describes a machine; values that contradict each other or the fixed hardware trap.
  ///
  /// - Parameters:
  ///   - apicIDs: 1 to 4096 ids, strictly ascending.
  ///   - pciMemoryWindow: Must not meet the ECAM, nor reach the I/O APIC and what lies above.
  ///   - pciMemory64Window: Begins at 4 GiB or above and must not meet RAM.
  ///   - ecamBase: A multiple of 256 MiB that is not RAM, below the 256 MiB of the I/O APIC.
  public init(
    apicIDs: [UInt32],
    pciMemoryWindow: ClosedRange<UInt32> = defaultPCIMemoryWindow,
    pciMemory64Window: ClosedRange<UInt64>? = nil,
    ecamBase: UInt32 = defaultECAMBase,
    legacyDevices: LegacyDevices
  ) {
    precondition(
      (1...Self.maximumVCPUCount).contains(apicIDs.count), "\(apicIDs.count) vCPUs in ACPI")
    precondition(
      zip(apicIDs, apicIDs.dropFirst()).allSatisfy { $0 < $1 }, "APIC ids \(apicIDs) do not ascend")
    precondition(
      ecamBase % Self.ecamByteCount == 0
        && ecamBase < ACPIFixedHardware.ioAPICAddress & ~(Self.ecamByteCount - 1),
      "ECAM at 0x\(String(ecamBase, radix: 16))")
    precondition(
      !pciMemoryWindow.overlaps(ecamBase...(ecamBase + (Self.ecamByteCount - 1)))
        && pciMemoryWindow.upperBound < ACPIFixedHardware.ioAPICAddress,
      "PCI window 0x\(String(pciMemoryWindow.lowerBound, radix: 16))…"
        + "0x\(String(pciMemoryWindow.upperBound, radix: 16))")
    if let window = pciMemory64Window {
      precondition(
        window.lowerBound >= 1 << 32, "64-bit PCI window 0x\(String(window.lowerBound, radix: 16))")
    }
    self.apicIDs = apicIDs
    self.pciMemoryWindow = pciMemoryWindow
    self.pciMemory64Window = pciMemory64Window
    self.ecamBase = ecamBase
    self.legacyDevices = legacyDevices
  }

  /// Describes a machine with APIC ids 0 to `vcpuCount` - 1 and the default windows.
  public init(vcpuCount: Int, legacyDevices: LegacyDevices) {
    precondition(vcpuCount >= 0, "\(vcpuCount) vCPUs in ACPI")
    self.init(apicIDs: (0..<vcpuCount).map { UInt32($0) }, legacyDevices: legacyDevices)
  }
}
