/// The number of a hypercall: bits 15:0 of the hypercall input value.
///
/// Open: an unknown number survives and can be printed. A thread-safe value.
///
/// Source: TLFS 6.0b appendix A, and §3.14 for the extended calls.
public struct HypercallCode: RawRepresentable, Hashable, Sendable {
  /// The call code as the guest gave it.
  public let rawValue: UInt16

  /// Wraps a call code.
  public init(rawValue: UInt16) {
    self.rawValue = rawValue
  }

  /// *HvCallSwitchVirtualAddressSpace*, 0x0001.
  public static let switchVirtualAddressSpace = HypercallCode(rawValue: 0x0001)
  /// *HvCallFlushVirtualAddressSpace*, 0x0002.
  public static let flushVirtualAddressSpace = HypercallCode(rawValue: 0x0002)
  /// *HvCallFlushVirtualAddressList*, 0x0003.
  public static let flushVirtualAddressList = HypercallCode(rawValue: 0x0003)
  /// *HvCallNotifyLongSpinWait*, 0x0008: a hint that a spin lock is held for long.
  public static let notifyLongSpinWait = HypercallCode(rawValue: 0x0008)
  /// *HvCallSendSyntheticClusterIpi*, 0x000B.
  public static let sendSyntheticClusterIPI = HypercallCode(rawValue: 0x000B)
  /// *HvCallFlushVirtualAddressSpaceEx*, 0x0013.
  public static let flushVirtualAddressSpaceEx = HypercallCode(rawValue: 0x0013)
  /// *HvCallFlushVirtualAddressListEx*, 0x0014.
  public static let flushVirtualAddressListEx = HypercallCode(rawValue: 0x0014)
  /// *HvCallSendSyntheticClusterIpiEx*, 0x0015.
  public static let sendSyntheticClusterIPIEx = HypercallCode(rawValue: 0x0015)
  /// *HvCallPostMessage*, 0x005C.
  public static let postMessage = HypercallCode(rawValue: 0x005C)
  /// *HvCallSignalEvent*, 0x005D.
  public static let signalEvent = HypercallCode(rawValue: 0x005D)

  /// *HvExtCallQueryCapabilities*, 0x8001: which extended calls exist.
  public static let extendedQueryCapabilities = HypercallCode(rawValue: 0x8001)
  /// *HvExtCallGetBootZeroedMemory*, 0x8002: which memory still reads as zero.
  public static let extendedGetBootZeroedMemory = HypercallCode(rawValue: 0x8002)
  /// *HvExtCallMemoryHeatHint*, 0x8003.
  public static let extendedMemoryHeatHint = HypercallCode(rawValue: 0x8003)
  /// *HvExtCallEpfSetup*, 0x8004.
  public static let extendedEPFSetup = HypercallCode(rawValue: 0x8004)
  /// *HvExtCallSchedulerAssistSetup*, 0x8005.
  public static let extendedSchedulerAssistSetup = HypercallCode(rawValue: 0x8005)
  /// *HvExtCallMemoryHeatHintAsync*, 0x8006.
  public static let extendedMemoryHeatHintAsync = HypercallCode(rawValue: 0x8006)

  /// The codes of extended hypercalls.
  ///
  /// One code per capability bit after the query itself; 0x8041 is also the last code that KVM
  /// forwards to userspace.
  public static let extendedRange: ClosedRange<UInt16> = 0x8001...0x8041

  /// Whether the privilege *EnableExtendedHypercalls* governs this code.
  public var isExtended: Bool { Self.extendedRange.contains(rawValue) }
}

extension HypercallCode: CustomStringConvertible {
  /// The TLFS name with the number, like `HvExtCallQueryCapabilities (0x8001)`, or the number
  /// alone.
  public var description: String {
    guard let name = Self.names[self] else { return rawValue.hexadecimal }
    return "\(name) (\(rawValue.hexadecimal))"
  }

  private static let names: [HypercallCode: String] = [
    .switchVirtualAddressSpace: "HvCallSwitchVirtualAddressSpace",
    .flushVirtualAddressSpace: "HvCallFlushVirtualAddressSpace",
    .flushVirtualAddressList: "HvCallFlushVirtualAddressList",
    .notifyLongSpinWait: "HvCallNotifyLongSpinWait",
    .sendSyntheticClusterIPI: "HvCallSendSyntheticClusterIpi",
    .flushVirtualAddressSpaceEx: "HvCallFlushVirtualAddressSpaceEx",
    .flushVirtualAddressListEx: "HvCallFlushVirtualAddressListEx",
    .sendSyntheticClusterIPIEx: "HvCallSendSyntheticClusterIpiEx",
    .postMessage: "HvCallPostMessage",
    .signalEvent: "HvCallSignalEvent",
    .extendedQueryCapabilities: "HvExtCallQueryCapabilities",
    .extendedGetBootZeroedMemory: "HvExtCallGetBootZeroedMemory",
    .extendedMemoryHeatHint: "HvExtCallMemoryHeatHint",
    .extendedEPFSetup: "HvExtCallEpfSetup",
    .extendedSchedulerAssistSetup: "HvExtCallSchedulerAssistSetup",
    .extendedMemoryHeatHintAsync: "HvExtCallMemoryHeatHintAsync",
  ]
}
