/// The index of a synthetic MSR.
///
/// Open: an unknown index survives and can be printed. A thread-safe value.
///
/// Source: TLFS, "Synthetic MSRs"; the chapters name the registers' fields.
public struct SyntheticMSR: RawRepresentable, Hashable, Sendable {
  /// The MSR index, ECX of RDMSR and WRMSR.
  public let rawValue: UInt32

  /// Wraps an MSR index.
  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  private init(_ rawValue: UInt32) {
    self.rawValue = rawValue
  }

  /// The indices that belong to the Hyper-V interface: what a VMM has trapped for
  /// ``SyntheticMSRs``.
  public static let range: ClosedRange<UInt32> = 0x4000_0000...0x4000_01FF

  /// *HV_X64_MSR_GUEST_OS_ID*.
  public static let guestOSID = SyntheticMSR(0x4000_0000)
  /// *HV_X64_MSR_HYPERCALL*.
  public static let hypercall = SyntheticMSR(0x4000_0001)
  /// *HV_X64_MSR_VP_INDEX*.
  public static let vpIndex = SyntheticMSR(0x4000_0002)
  /// *HV_X64_MSR_RESET*.
  public static let reset = SyntheticMSR(0x4000_0003)
  /// *HV_X64_MSR_VP_RUNTIME*.
  public static let vpRuntime = SyntheticMSR(0x4000_0010)
  /// *HV_X64_MSR_TIME_REF_COUNT*.
  public static let timeReferenceCount = SyntheticMSR(0x4000_0020)
  /// *HV_X64_MSR_REFERENCE_TSC*.
  public static let referenceTSC = SyntheticMSR(0x4000_0021)
  /// *HV_X64_MSR_TSC_FREQUENCY*.
  public static let tscFrequency = SyntheticMSR(0x4000_0022)
  /// *HV_X64_MSR_APIC_FREQUENCY*.
  public static let apicFrequency = SyntheticMSR(0x4000_0023)
  /// *HV_X64_MSR_EOI*.
  public static let eoi = SyntheticMSR(0x4000_0070)
  /// *HV_X64_MSR_ICR*.
  public static let icr = SyntheticMSR(0x4000_0071)
  /// *HV_X64_MSR_TPR*.
  public static let tpr = SyntheticMSR(0x4000_0072)
  /// *HV_X64_MSR_VP_ASSIST_PAGE*.
  public static let vpAssistPage = SyntheticMSR(0x4000_0073)
  /// *HV_X64_MSR_SCONTROL*.
  public static let sControl = SyntheticMSR(0x4000_0080)
  /// *HV_X64_MSR_SVERSION*.
  public static let sVersion = SyntheticMSR(0x4000_0081)
  /// *HV_X64_MSR_SIEFP*.
  public static let siefp = SyntheticMSR(0x4000_0082)
  /// *HV_X64_MSR_SIMP*.
  public static let simp = SyntheticMSR(0x4000_0083)
  /// *HV_X64_MSR_EOM*.
  public static let eom = SyntheticMSR(0x4000_0084)
  /// *HV_X64_MSR_SINT0*; SINT1 to SINT15 follow.
  public static let sint0 = SyntheticMSR(0x4000_0090)
  /// *HV_X64_MSR_STIMER0_CONFIG*; then its COUNT, then timers 1 to 3 likewise.
  public static let stimer0Config = SyntheticMSR(0x4000_00B0)
  /// *HV_X64_MSR_STIMER0_COUNT*.
  public static let stimer0Count = SyntheticMSR(0x4000_00B1)
  /// *HV_X64_MSR_GUEST_IDLE*.
  public static let guestIdle = SyntheticMSR(0x4000_00F0)
  /// *HV_X64_MSR_CRASH_P0*.
  public static let crashP0 = SyntheticMSR(0x4000_0100)
  /// *HV_X64_MSR_CRASH_P1*.
  public static let crashP1 = SyntheticMSR(0x4000_0101)
  /// *HV_X64_MSR_CRASH_P2*.
  public static let crashP2 = SyntheticMSR(0x4000_0102)
  /// *HV_X64_MSR_CRASH_P3*.
  public static let crashP3 = SyntheticMSR(0x4000_0103)
  /// *HV_X64_MSR_CRASH_P4*.
  public static let crashP4 = SyntheticMSR(0x4000_0104)
  /// *HV_X64_MSR_CRASH_CTL*.
  public static let crashControl = SyntheticMSR(0x4000_0105)
  /// *HV_X64_MSR_REENLIGHTENMENT_CONTROL*.
  public static let reenlightenmentControl = SyntheticMSR(0x4000_0106)
  /// *HV_X64_MSR_TSC_INVARIANT_CONTROL*.
  public static let tscInvariantControl = SyntheticMSR(0x4000_0118)

  /// Those that hold what the guest wrote, and by that tell what it has turned on: first those of
  /// the partition, then those that each vCPU has for itself. Without those that are only a
  /// moment's, such as a timer's count.
  public static let kept: (partition: [SyntheticMSR], perVP: [SyntheticMSR]) = (
    [.guestOSID, .hypercall, .referenceTSC, .reenlightenmentControl, .tscInvariantControl],
    [.vpAssistPage, .sControl, .siefp, .simp]
      + (0..<16).map { SyntheticMSR(sint0.rawValue + $0) }
      + (0..<4).map { SyntheticMSR(stimer0Config.rawValue + 2 * $0) }
  )
}

extension SyntheticMSR: CustomStringConvertible {
  /// The TLFS name with the index, like `HV_X64_MSR_HYPERCALL (0x40000001)`, or the index alone.
  public var description: String {
    guard let name = Self.names[self] ?? numberedName else { return rawValue.hexadecimal }
    return "HV_X64_MSR_\(name) (\(rawValue.hexadecimal))"
  }

  /// Of interrupt sources and timers.
  private var numberedName: String? {
    switch rawValue {
    case Self.sint0.rawValue...0x4000_009F: "SINT\(rawValue - Self.sint0.rawValue)"
    case Self.stimer0Config.rawValue...0x4000_00B7:
      "STIMER\((rawValue - Self.stimer0Config.rawValue) / 2)_\(rawValue % 2 == 0 ? "CONFIG" : "COUNT")"
    default: nil
    }
  }

  private static let names: [SyntheticMSR: String] = [
    .guestOSID: "GUEST_OS_ID", .hypercall: "HYPERCALL", .vpIndex: "VP_INDEX", .reset: "RESET",
    .vpRuntime: "VP_RUNTIME", .timeReferenceCount: "TIME_REF_COUNT",
    .referenceTSC: "REFERENCE_TSC", .tscFrequency: "TSC_FREQUENCY",
    .apicFrequency: "APIC_FREQUENCY", .eoi: "EOI", .icr: "ICR", .tpr: "TPR",
    .vpAssistPage: "VP_ASSIST_PAGE", .sControl: "SCONTROL", .sVersion: "SVERSION",
    .siefp: "SIEFP", .simp: "SIMP", .eom: "EOM", .guestIdle: "GUEST_IDLE",
    .crashP0: "CRASH_P0", .crashP1: "CRASH_P1", .crashP2: "CRASH_P2", .crashP3: "CRASH_P3",
    .crashP4: "CRASH_P4", .crashControl: "CRASH_CTL",
    .reenlightenmentControl: "REENLIGHTENMENT_CONTROL",
    .tscInvariantControl: "TSC_INVARIANT_CONTROL",
  ]
}
