/// The CPUID leaves by which a guest finds the Hyper-V interface.
///
/// The VMM adds them to every vCPU's leaves, replacing KVM's own at 0x40000000, and sets
/// CPUID.1:ECX bit 31, without which no guest looks here. A thread-safe value.
///
/// Source: TLFS, Feature Discovery, leaves 0x40000000 to 0x40000006.
public struct HyperVCPUID: Sendable {
  /// The first leaf.
  public static let firstFunction: UInt32 = 0x4000_0000
  /// The last leaf. The nested leaves 0x40000007 and up would promise what is not there.
  public static let lastFunction: UInt32 = 0x4000_0006

  /// Leaves 0x40000000 to 0x40000006 in order, or none if no enlightenment is on.
  public let leaves: [HyperVLeaf]

  /// Describes a partition.
  ///
  /// - Parameters:
  ///   - enlightenments: what the partition offers; checked by ``Enlightenments/validate()``.
  ///   - virtualProcessorCount: the most virtual processors the partition will ever have, at least 1.
  ///   - locksHypercallMSR: whether the transport honours the Locked bit of the HYPERCALL MSR.
  ///     ``SyntheticMSRs`` does, KVM's kernel does not; false promises nothing.
  public init(
    enlightenments: Enlightenments, virtualProcessorCount: Int, locksHypercallMSR: Bool = false
  ) throws(EnlightenmentError) {
    try enlightenments.validate()
    guard virtualProcessorCount > 0, let count = UInt32(exactly: virtualProcessorCount) else {
      throw EnlightenmentError(.virtualProcessorCount(virtualProcessorCount))
    }
    guard !enlightenments.isEmpty else {
      leaves = []
      return
    }
    leaves = [
      Self.vendor, Self.interface, Self.version,
      Self.features(enlightenments, locksHypercallMSR: locksHypercallMSR),
      Self.recommendations(enlightenments), Self.limits(virtualProcessorCount: count),
      Self.hardwareFeatures,
    ]
  }

  /// "Microsoft Hv" in EBX, ECX, EDX. Windows reads only the next leaf, but Linux wants this vendor.
  private static let vendor = HyperVLeaf(
    function: 0x4000_0000, eax: lastFunction, ebx: 0x7263_694D, ecx: 0x666F_736F, edx: 0x7648_2074)

  /// "Hv#1": the interface of the TLFS.
  private static let interface = HyperVLeaf(function: 0x4000_0001, eax: 0x3123_7648)

  /// Version 10.0, build 14393 (Server 2016): what KVM itself reports, so that a guest sees the same
  /// whoever answers. Zeros would be legal too; no feature hangs on the version.
  private static let version = HyperVLeaf(
    function: 0x4000_0002, eax: 0x0000_3839, ebx: 0x000A_0000)

  /// Privileges and features. ECX (power states) is zero: there is no enlightened power management.
  private static func features(
    _ enlightenments: Enlightenments, locksHypercallMSR: Bool
  ) -> HyperVLeaf {
    let privileges = PartitionPrivileges(enlightenments).rawValue
    let features = HypervisorFeatures(enlightenments, locksHypercallMSR: locksHypercallMSR)
    return HyperVLeaf(
      function: 0x4000_0003,
      eax: UInt32(truncatingIfNeeded: privileges),
      ebx: UInt32(truncatingIfNeeded: privileges >> 32),
      edx: features.rawValue)
  }

  /// Advice. EBX 0xFFFFFFFF: never notify about long spin waits, since the processor's own pause
  /// detection sees them sooner. ECX 0: physical address bits are in leaf 0x80000008.
  private static func recommendations(_ enlightenments: Enlightenments) -> HyperVLeaf {
    HyperVLeaf(
      function: 0x4000_0004,
      eax: ImplementationRecommendations(enlightenments).rawValue,
      ebx: 0xFFFF_FFFF)
  }

  /// Limits. EBX and ECX, logical processors and interrupt vectors of the host, concern a root
  /// partition only; zero tells nothing.
  private static func limits(virtualProcessorCount: UInt32) -> HyperVLeaf {
    HyperVLeaf(function: 0x4000_0005, eax: virtualProcessorCount)
  }

  /// Hardware in use by the hypervisor. All zero: informational for guests, and this module knows
  /// no host.
  private static let hardwareFeatures = HyperVLeaf(function: 0x4000_0006)
}
