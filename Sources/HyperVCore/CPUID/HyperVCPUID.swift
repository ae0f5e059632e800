/// The CPUID leaves by which a guest finds the Hyper-V interface.
///
/// The VMM adds them to every vCPU's leaves, replacing KVM's own at 0x40000000, and sets
/// CPUID.1:ECX bit 31, without which no guest looks here. A thread-safe value.
///
/// Source: TLFS, Feature Discovery, leaves 0x40000000 to 0x4000000A.
public struct HyperVCPUID: Sendable {
  /// The first leaf.
  public static let firstFunction: UInt32 = 0x4000_0000
  /// The last leaf, unless an enlightenment is for nested guests.
  public static let lastFunction: UInt32 = 0x4000_0006
  /// The last leaf if one is.
  public static let lastNestedFunction: UInt32 = 0x4000_000A

  /// Leaves 0x40000000 to the last in order, or none if no enlightenment is on.
  public let leaves: [HyperVLeaf]

  /// Describes a partition.
  ///
  /// - Parameters:
  ///   - enlightenments: what the partition offers; checked by ``Enlightenments/validate()``.
  ///   - virtualProcessorCount: the most virtual processors the partition will ever have, at
  ///     least 1.
  ///   - locksHypercallMSR: whether the transport honours the Locked bit of the HYPERCALL MSR.
  ///     ``SyntheticMSRs`` does, KVM's kernel does not; false promises nothing.
  ///   - parameters: what is no enlightenment of its own.
  public init(
    enlightenments: Enlightenments, virtualProcessorCount: Int, locksHypercallMSR: Bool = false,
    parameters: HyperVParameters = HyperVParameters()
  ) throws(EnlightenmentError) {
    try enlightenments.validate()
    guard virtualProcessorCount > 0, let count = UInt32(exactly: virtualProcessorCount) else {
      throw EnlightenmentError(.virtualProcessorCount(virtualProcessorCount))
    }
    guard !enlightenments.isEmpty else {
      leaves = []
      return
    }
    let nested = NestedFeatures(enlightenments)
    let common = [
      Self.vendor(
        parameters.vendor,
        lastFunction: nested.isEmpty ? Self.lastFunction : Self.lastNestedFunction
      ),
      Self.interface, parameters.version.leaf,
      Self.features(
        enlightenments, locksHypercallMSR: locksHypercallMSR,
        offersConnections: parameters.offersConnections),
      Self.recommendations(enlightenments, spinRetryCount: parameters.spinRetryCount),
      Self.limits(virtualProcessorCount: count), Self.hardwareFeatures,
    ]
    leaves = common + (nested.isEmpty ? [] : Self.nested(nested))
  }

  /// The vendor in EBX, ECX, EDX.
  private static func vendor(_ vendor: HypervisorVendor, lastFunction: UInt32) -> HyperVLeaf {
    HyperVLeaf(
      function: 0x4000_0000, eax: lastFunction, ebx: vendor.register(0), ecx: vendor.register(1),
      edx: vendor.register(2))
  }

  /// "Hv#1": the interface of the TLFS.
  private static let interface = HyperVLeaf(function: 0x4000_0001, eax: 0x3123_7648)

  /// Privileges and features. ECX (power states) is zero: there is no enlightened power management.
  private static func features(
    _ enlightenments: Enlightenments, locksHypercallMSR: Bool, offersConnections: Bool
  ) -> HyperVLeaf {
    let privileges = PartitionPrivileges(enlightenments)
      .union(offersConnections ? .ofConnections : []).rawValue
    let features = HypervisorFeatures(enlightenments, locksHypercallMSR: locksHypercallMSR)
    return HyperVLeaf(
      function: 0x4000_0003,
      eax: UInt32(truncatingIfNeeded: privileges),
      ebx: UInt32(truncatingIfNeeded: privileges >> 32),
      edx: features.rawValue)
  }

  /// Advice. ECX 0: physical address bits are in leaf 0x80000008.
  private static func recommendations(
    _ enlightenments: Enlightenments, spinRetryCount: UInt32
  ) -> HyperVLeaf {
    HyperVLeaf(
      function: 0x4000_0004,
      eax: ImplementationRecommendations(enlightenments).rawValue,
      ebx: spinRetryCount)
  }

  /// Limits. EBX and ECX, logical processors and interrupt vectors of the host, concern a root
  /// partition only; zero means not given.
  private static func limits(virtualProcessorCount: UInt32) -> HyperVLeaf {
    HyperVLeaf(function: 0x4000_0005, eax: virtualProcessorCount)
  }

  /// Hardware in use by the hypervisor. All zero: informational for guests, and this module knows
  /// no host.
  private static let hardwareFeatures = HyperVLeaf(function: 0x4000_0006)

  /// Leaves 0x40000007 to 0x4000000A; the first three are for a root partition. EBX of the last
  /// stays 0: performance monitoring of nested guests is not promised.
  private static func nested(_ features: NestedFeatures) -> [HyperVLeaf] {
    [
      HyperVLeaf(function: 0x4000_0007), HyperVLeaf(function: 0x4000_0008),
      HyperVLeaf(function: 0x4000_0009),
      HyperVLeaf(function: 0x4000_000A, eax: features.rawValue),
    ]
  }
}
