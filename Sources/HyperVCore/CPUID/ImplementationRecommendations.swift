/// What the hypervisor would have the guest use: leaf 0x40000004 EAX.
///
/// Advice, no privileges. Unknown bits are kept. A thread-safe value.
///
/// Source: TLFS, Feature Discovery, leaf 0x40000004.
public struct ImplementationRecommendations: OptionSet, Hashable, Sendable {
  /// The register value.
  public let rawValue: UInt32

  /// Wraps a register value.
  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  /// Hypercall for address space switches, bit 0.
  public static let addressSpaceSwitch = ImplementationRecommendations(rawValue: 1 << 0)
  /// Hypercall for local TLB flushes, bit 1.
  public static let localTLBFlush = ImplementationRecommendations(rawValue: 1 << 1)
  /// Hypercall for remote TLB flushes, bit 2.
  public static let remoteTLBFlush = ImplementationRecommendations(rawValue: 1 << 2)
  /// MSRs instead of memory-mapped EOI, ICR and TPR, bit 3.
  public static let apicMSRs = ImplementationRecommendations(rawValue: 1 << 3)
  /// MSR for system reset, bit 4.
  public static let resetMSR = ImplementationRecommendations(rawValue: 1 << 4)
  /// Relaxed timing, bit 5.
  public static let relaxedTiming = ImplementationRecommendations(rawValue: 1 << 5)
  /// No use of AutoEOI (*DeprecatingAEOIRecommended*), bit 9.
  public static let deprecateAutoEOI = ImplementationRecommendations(rawValue: 1 << 9)
  /// Hypercall for cluster IPIs, bit 10.
  public static let clusterIPI = ImplementationRecommendations(rawValue: 1 << 10)
  /// Extended processor masks (*ExProcessorMasksRecommended*), bit 11.
  public static let extendedProcessorMasks = ImplementationRecommendations(rawValue: 1 << 11)
  /// This hypervisor is itself nested in a Hyper-V one, bit 12.
  public static let nestedHypervisor = ImplementationRecommendations(rawValue: 1 << 12)
  /// Enlightened VMCS, bit 14.
  public static let enlightenedVMCS = ImplementationRecommendations(rawValue: 1 << 14)
  /// Hypercall for a local flush of everything (*UseHypercallForLocalFlushEntire*), bit 17.
  public static let localFlushEntire = ImplementationRecommendations(rawValue: 1 << 17)
  /// *NoNonArchitecturalCoreSharing*, bit 18.
  public static let noNonArchitecturalCoreSharing = ImplementationRecommendations(
    rawValue: 1 << 18)

  /// The recommendations that go with a set of enlightenments.
  public init(_ enlightenments: Enlightenments) {
    self = []
    for (enlightenment, advice) in Self.advice where enlightenments.contains(enlightenment) {
      formUnion(advice)
    }
    // Where the processor virtualises the APIC, its registers exit less than the MSRs would.
    if enlightenments.contains(.virtualAPIC) && !enlightenments.contains(.apicVirtualization) {
      insert(.apicMSRs)
    }
  }

  private static let advice: [(Enlightenments, ImplementationRecommendations)] = [
    // Windows since 8 relaxes its timing under any hypervisor, but with Hv#1 only on this advice.
    (.relaxedTiming, .relaxedTiming),
    (.apicVirtualization, .deprecateAutoEOI),
    // The forms with extended masks reach VPs past 64.
    (.tlbFlush, [.remoteTLBFlush, .extendedProcessorMasks]),
    (.ipi, [.clusterIPI, .extendedProcessorMasks]),
    (.enlightenedVMCS, .enlightenedVMCS),
    (.noNonArchitecturalCoreSharing, .noNonArchitecturalCoreSharing),
  ]
}
