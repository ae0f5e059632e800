import HyperVCore
import Testing

@Suite("Synthetic MSR indices, TLFS Synthetic MSRs")
struct SyntheticMSRTests {
  static let table: [(SyntheticMSR, UInt32, String)] = [
    (.guestOSID, 0x4000_0000, "GUEST_OS_ID"), (.hypercall, 0x4000_0001, "HYPERCALL"),
    (.vpIndex, 0x4000_0002, "VP_INDEX"), (.reset, 0x4000_0003, "RESET"),
    (.vpRuntime, 0x4000_0010, "VP_RUNTIME"),
    (.timeReferenceCount, 0x4000_0020, "TIME_REF_COUNT"),
    (.referenceTSC, 0x4000_0021, "REFERENCE_TSC"),
    (.tscFrequency, 0x4000_0022, "TSC_FREQUENCY"),
    (.apicFrequency, 0x4000_0023, "APIC_FREQUENCY"),
    (.eoi, 0x4000_0070, "EOI"), (.icr, 0x4000_0071, "ICR"), (.tpr, 0x4000_0072, "TPR"),
    (.vpAssistPage, 0x4000_0073, "VP_ASSIST_PAGE"),
    (.sControl, 0x4000_0080, "SCONTROL"), (.sVersion, 0x4000_0081, "SVERSION"),
    (.siefp, 0x4000_0082, "SIEFP"), (.simp, 0x4000_0083, "SIMP"), (.eom, 0x4000_0084, "EOM"),
    (.sint0, 0x4000_0090, "SINT0"), (.stimer0Config, 0x4000_00B0, "STIMER0_CONFIG"),
    (.stimer0Count, 0x4000_00B1, "STIMER0_COUNT"), (.guestIdle, 0x4000_00F0, "GUEST_IDLE"),
    (.crashP0, 0x4000_0100, "CRASH_P0"), (.crashP1, 0x4000_0101, "CRASH_P1"),
    (.crashP2, 0x4000_0102, "CRASH_P2"), (.crashP3, 0x4000_0103, "CRASH_P3"),
    (.crashP4, 0x4000_0104, "CRASH_P4"), (.crashControl, 0x4000_0105, "CRASH_CTL"),
    (.reenlightenmentControl, 0x4000_0106, "REENLIGHTENMENT_CONTROL"),
    (.tscInvariantControl, 0x4000_0118, "TSC_INVARIANT_CONTROL"),
  ]

  @Test("index and name", arguments: table)
  func entry(msr: SyntheticMSR, index: UInt32, name: String) {
    #expect(msr.rawValue == index)
    #expect(msr.description == "HV_X64_MSR_\(name) (0x\(String(index, radix: 16)))")
    #expect(SyntheticMSR.range.contains(index))
  }

  @Test("range and unknown indices")
  func range() {
    #expect(SyntheticMSR.range == 0x4000_0000...0x4000_01FF)
    #expect("\(SyntheticMSR(rawValue: 0x4000_0004))" == "0x40000004")
  }
}
