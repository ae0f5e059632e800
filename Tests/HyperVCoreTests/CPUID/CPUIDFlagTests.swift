import HyperVCore
import Testing

@Suite("CPUID flags, TLFS Feature Discovery")
struct CPUIDFlagTests {
  /// Leaf 0x40000003: EAX bits, then EBX bits at 32 and up.
  static let privileges: [(PartitionPrivileges, Int)] = [
    (.accessVPRuntime, 0), (.accessPartitionReferenceCounter, 1), (.accessSynIC, 2),
    (.accessSyntheticTimers, 3), (.accessInterruptControl, 4), (.accessHypercallMSRs, 5),
    (.accessVPIndex, 6), (.accessReset, 7), (.accessStatistics, 8), (.accessReferenceTSC, 9),
    (.accessGuestIdle, 10), (.accessFrequencies, 11), (.accessDebug, 12),
    (.accessReenlightenment, 13), (.accessTSCInvariantControl, 15),
    (.createPartitions, 32 + 0), (.accessPartitionID, 32 + 1), (.accessMemoryPool, 32 + 2),
    (.adjustMessageBuffers, 32 + 3), (.postMessages, 32 + 4), (.signalEvents, 32 + 5),
    (.createPort, 32 + 6), (.connectPort, 32 + 7), (.accessStatisticsPages, 32 + 8),
    (.debugging, 32 + 11), (.cpuManagement, 32 + 12), (.accessVSM, 32 + 16),
    (.accessVPRegisters, 32 + 17), (.enableExtendedHypercalls, 32 + 20),
    (.startVirtualProcessor, 32 + 21), (.isolation, 32 + 22),
  ]

  @Test("privilege bits", arguments: privileges)
  func privilege(privilege: PartitionPrivileges, bit: Int) {
    #expect(privilege.rawValue == 1 << UInt64(bit))
  }

  /// Leaf 0x40000003 EDX.
  static let features: [(HypervisorFeatures, Int)] = [
    (.guestDebugging, 1), (.dynamicPartitioning, 3), (.xmmHypercallInput, 4), (.guestIdle, 5),
    (.frequencyMSRs, 8), (.crashMSRs, 10), (.debugMSRs, 11), (.extendedGVARangesForFlush, 14),
    (.xmmHypercallOutput, 15), (.sintPolling, 17), (.hypercallMSRLock, 18),
    (.directSyntheticTimers, 19), (.unhaltedTimer, 23), (.lastBranchRecords, 26),
  ]

  @Test("feature bits", arguments: features)
  func feature(feature: HypervisorFeatures, bit: Int) {
    #expect(feature.rawValue == 1 << UInt32(bit))
  }

  /// Leaf 0x40000004 EAX.
  static let recommendations: [(ImplementationRecommendations, Int)] = [
    (.addressSpaceSwitch, 0), (.localTLBFlush, 1), (.remoteTLBFlush, 2), (.apicMSRs, 3),
    (.resetMSR, 4), (.relaxedTiming, 5), (.deprecateAutoEOI, 9), (.clusterIPI, 10),
    (.extendedProcessorMasks, 11), (.nestedHypervisor, 12), (.enlightenedVMCS, 14),
    (.localFlushEntire, 17), (.noNonArchitecturalCoreSharing, 18),
  ]

  @Test("recommendation bits", arguments: recommendations)
  func recommendation(recommendation: ImplementationRecommendations, bit: Int) {
    #expect(recommendation.rawValue == 1 << UInt32(bit))
  }
}
