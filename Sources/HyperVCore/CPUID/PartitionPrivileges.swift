/// What a partition may do: *HV_PARTITION_PRIVILEGE_MASK*, leaf 0x40000003 EBX:EAX.
///
/// Bits 31:0 are EAX, bits 63:32 are EBX; docs give the register's own bit number. Unknown bits are
/// kept. A thread-safe value.
///
/// Source: TLFS, Feature Discovery, leaf 0x40000003, *HV_PARTITION_PRIVILEGE_MASK*.
public struct PartitionPrivileges: OptionSet, Hashable, Sendable {
  /// The privilege mask.
  public let rawValue: UInt64

  /// Wraps a privilege mask.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// *AccessVpRunTimeReg*, EAX bit 0.
  public static let accessVPRuntime = PartitionPrivileges(rawValue: 1 << 0)
  /// *AccessPartitionReferenceCounter*, EAX bit 1.
  public static let accessPartitionReferenceCounter = PartitionPrivileges(rawValue: 1 << 1)
  /// *AccessSynicRegs*, EAX bit 2.
  public static let accessSynIC = PartitionPrivileges(rawValue: 1 << 2)
  /// *AccessSyntheticTimerRegs*, EAX bit 3.
  public static let accessSyntheticTimers = PartitionPrivileges(rawValue: 1 << 3)
  /// *AccessIntrCtrlRegs*, EAX bit 4: EOI, ICR, TPR and VP assist page.
  public static let accessInterruptControl = PartitionPrivileges(rawValue: 1 << 4)
  /// *AccessHypercallMsrs*, EAX bit 5.
  public static let accessHypercallMSRs = PartitionPrivileges(rawValue: 1 << 5)
  /// *AccessVpIndex*, EAX bit 6.
  public static let accessVPIndex = PartitionPrivileges(rawValue: 1 << 6)
  /// *AccessResetReg*, EAX bit 7.
  public static let accessReset = PartitionPrivileges(rawValue: 1 << 7)
  /// *AccessStatsReg*, EAX bit 8.
  public static let accessStatistics = PartitionPrivileges(rawValue: 1 << 8)
  /// *AccessPartitionReferenceTsc*, EAX bit 9.
  public static let accessReferenceTSC = PartitionPrivileges(rawValue: 1 << 9)
  /// *AccessGuestIdleReg*, EAX bit 10.
  public static let accessGuestIdle = PartitionPrivileges(rawValue: 1 << 10)
  /// *AccessFrequencyRegs*, EAX bit 11.
  public static let accessFrequencies = PartitionPrivileges(rawValue: 1 << 11)
  /// *AccessDebugRegs*, EAX bit 12.
  public static let accessDebug = PartitionPrivileges(rawValue: 1 << 12)
  /// *AccessReenlightenmentControls*, EAX bit 13.
  public static let accessReenlightenment = PartitionPrivileges(rawValue: 1 << 13)
  /// *AccessTscInvariantControls*, EAX bit 15.
  public static let accessTSCInvariantControl = PartitionPrivileges(rawValue: 1 << 15)

  /// *CreatePartitions*, EBX bit 0.
  public static let createPartitions = PartitionPrivileges(rawValue: 1 << 32)
  /// *AccessPartitionId*, EBX bit 1.
  public static let accessPartitionID = PartitionPrivileges(rawValue: 1 << 33)
  /// *AccessMemoryPool*, EBX bit 2.
  public static let accessMemoryPool = PartitionPrivileges(rawValue: 1 << 34)
  /// *AdjustMessageBuffers*, EBX bit 3.
  public static let adjustMessageBuffers = PartitionPrivileges(rawValue: 1 << 35)
  /// *PostMessages*, EBX bit 4.
  public static let postMessages = PartitionPrivileges(rawValue: 1 << 36)
  /// *SignalEvents*, EBX bit 5.
  public static let signalEvents = PartitionPrivileges(rawValue: 1 << 37)
  /// *CreatePort*, EBX bit 6.
  public static let createPort = PartitionPrivileges(rawValue: 1 << 38)
  /// *ConnectPort*, EBX bit 7.
  public static let connectPort = PartitionPrivileges(rawValue: 1 << 39)
  /// *AccessStats*, EBX bit 8.
  public static let accessStatisticsPages = PartitionPrivileges(rawValue: 1 << 40)
  /// *Debugging*, EBX bit 11.
  public static let debugging = PartitionPrivileges(rawValue: 1 << 43)
  /// *CpuManagement*, EBX bit 12.
  public static let cpuManagement = PartitionPrivileges(rawValue: 1 << 44)
  /// *AccessVSM*, EBX bit 16.
  public static let accessVSM = PartitionPrivileges(rawValue: 1 << 48)
  /// *AccessVpRegisters*, EBX bit 17.
  public static let accessVPRegisters = PartitionPrivileges(rawValue: 1 << 49)
  /// *EnableExtendedHypercalls*, EBX bit 20: calls 0x8001 and up.
  public static let enableExtendedHypercalls = PartitionPrivileges(rawValue: 1 << 52)
  /// *StartVirtualProcessor*, EBX bit 21.
  public static let startVirtualProcessor = PartitionPrivileges(rawValue: 1 << 53)
  /// *Isolation*, EBX bit 22.
  public static let isolation = PartitionPrivileges(rawValue: 1 << 54)

  /// The privileges that a set of enlightenments grants.
  ///
  /// *PostMessages* and *SignalEvents* are not among them, not even with the SynIC: they come with
  /// connections (``HyperVParameters/offersConnections``).
  public init(_ enlightenments: Enlightenments) {
    // The hypercall MSRs carry the guest's OS identity, which the rest of the interface waits for.
    self = enlightenments.isEmpty ? [] : .accessHypercallMSRs
    for (enlightenment, privileges) in Self.grants where enlightenments.contains(enlightenment) {
      formUnion(privileges)
    }
  }

  /// What connections need.
  static let ofConnections: PartitionPrivileges = [.postMessages, .signalEvents]

  private static let grants: [(Enlightenments, PartitionPrivileges)] = [
    (.virtualAPIC, .accessInterruptControl),
    (.vpIndex, .accessVPIndex),
    (.vpRuntime, .accessVPRuntime),
    (.time, [.accessPartitionReferenceCounter, .accessReferenceTSC]),
    (.reset, .accessReset),
    (.frequencies, .accessFrequencies),
    (.syntheticInterrupts, .accessSynIC),
    (.syntheticTimers, .accessSyntheticTimers),
    (.reenlightenment, .accessReenlightenment),
    (.extendedHypercalls, .enableExtendedHypercalls),
  ]
}
