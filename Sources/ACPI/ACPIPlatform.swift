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

  /// The most vCPUs: each one's name in the namespace has three hexadecimal digits.
  public static let maximumVCPUCount = 4096

  /// The number of vCPUs.
  public var vcpuCount: Int { apicIDs.count }

  /// Describes a machine; ids that contradict each other trap.
  ///
  /// - Parameter apicIDs: 1 to 4096 ids, strictly ascending.
  public init(apicIDs: [UInt32], addresses: ACPIAddresses, legacyDevices: LegacyDevices) {
    precondition(
      (1...Self.maximumVCPUCount).contains(apicIDs.count), "\(apicIDs.count) vCPUs in ACPI")
    precondition(
      zip(apicIDs, apicIDs.dropFirst()).allSatisfy { $0 < $1 }, "APIC ids \(apicIDs) do not ascend")
    self.apicIDs = apicIDs
    self.addresses = addresses
    self.legacyDevices = legacyDevices
  }

  /// Describes a machine with APIC ids 0 to `vcpuCount` - 1.
  public init(vcpuCount: Int, addresses: ACPIAddresses, legacyDevices: LegacyDevices) {
    precondition(vcpuCount >= 0, "\(vcpuCount) vCPUs in ACPI")
    self.init(
      apicIDs: (0..<vcpuCount).map { UInt32($0) }, addresses: addresses,
      legacyDevices: legacyDevices)
  }
}
