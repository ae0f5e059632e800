/// What the hypervisor can do besides privileges: leaf 0x40000003 EDX.
///
/// Unknown bits are kept. A thread-safe value.
///
/// Source: TLFS, Feature Discovery, leaf 0x40000003.
public struct HypervisorFeatures: OptionSet, Hashable, Sendable {
  /// The register value.
  public let rawValue: UInt32

  /// Wraps a register value.
  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  /// Guest debugging, bit 1.
  public static let guestDebugging = HypervisorFeatures(rawValue: 1 << 1)
  /// Physical CPU dynamic partitioning, bit 3.
  public static let dynamicPartitioning = HypervisorFeatures(rawValue: 1 << 3)
  /// Hypercall input in XMM registers, bit 4.
  public static let xmmHypercallInput = HypervisorFeatures(rawValue: 1 << 4)
  /// Virtual guest idle state, bit 5.
  public static let guestIdle = HypervisorFeatures(rawValue: 1 << 5)
  /// TSC and APIC frequency MSRs, bit 8.
  public static let frequencyMSRs = HypervisorFeatures(rawValue: 1 << 8)
  /// Guest crash MSRs, bit 10.
  public static let crashMSRs = HypervisorFeatures(rawValue: 1 << 10)
  /// Debug MSRs, bit 11.
  public static let debugMSRs = HypervisorFeatures(rawValue: 1 << 11)
  /// Extended GVA ranges in flush hypercalls, bit 14.
  public static let extendedGVARangesForFlush = HypervisorFeatures(rawValue: 1 << 14)
  /// Hypercall output in XMM registers, bit 15.
  public static let xmmHypercallOutput = HypervisorFeatures(rawValue: 1 << 15)
  /// *SintPollingModeAvailable*, bit 17.
  public static let sintPolling = HypervisorFeatures(rawValue: 1 << 17)
  /// *HypercallMsrLockAvailable*, bit 18: the Locked bit of the HYPERCALL MSR works.
  public static let hypercallMSRLock = HypervisorFeatures(rawValue: 1 << 18)
  /// Synthetic timers in direct mode, bit 19.
  public static let directSyntheticTimers = HypervisorFeatures(rawValue: 1 << 19)
  /// Unhalted timer, bit 23.
  public static let unhaltedTimer = HypervisorFeatures(rawValue: 1 << 23)
  /// Last branch records, bit 26.
  public static let lastBranchRecords = HypervisorFeatures(rawValue: 1 << 26)

  /// The features that a set of enlightenments brings.
  ///
  /// `locksHypercallMSR` says that the transport holds the HYPERCALL MSR still once the guest has
  /// locked it, as ``SyntheticMSRs`` does and KVM's kernel does not.
  public init(_ enlightenments: Enlightenments, locksHypercallMSR: Bool) {
    self = []
    guard !enlightenments.isEmpty else { return }
    for (enlightenment, features) in Self.features where enlightenments.contains(enlightenment) {
      formUnion(features)
    }
    if locksHypercallMSR { insert(.hypercallMSRLock) }
  }

  private static let features: [(Enlightenments, HypervisorFeatures)] = [
    (.frequencies, .frequencyMSRs),
    (.crash, .crashMSRs),
    (.directSyntheticTimers, .directSyntheticTimers),
    (.xmmInput, .xmmHypercallInput),
    (.extendedFlushRanges, .extendedGVARangesForFlush),
  ]
}
