import HyperVCore
import Testing

@Suite("Hypercall codes, TLFS 6.0b appendix A and §3.14")
struct HypercallCodeTests {
  @Test(
    "numbers and names",
    arguments: [
      (HypercallCode.switchVirtualAddressSpace, 0x0001, "HvCallSwitchVirtualAddressSpace (0x1)"),
      (.flushVirtualAddressSpace, 0x0002, "HvCallFlushVirtualAddressSpace (0x2)"),
      (.flushVirtualAddressList, 0x0003, "HvCallFlushVirtualAddressList (0x3)"),
      (.notifyLongSpinWait, 0x0008, "HvCallNotifyLongSpinWait (0x8)"),
      (.sendSyntheticClusterIPI, 0x000B, "HvCallSendSyntheticClusterIpi (0xb)"),
      (.flushVirtualAddressSpaceEx, 0x0013, "HvCallFlushVirtualAddressSpaceEx (0x13)"),
      (.flushVirtualAddressListEx, 0x0014, "HvCallFlushVirtualAddressListEx (0x14)"),
      (.sendSyntheticClusterIPIEx, 0x0015, "HvCallSendSyntheticClusterIpiEx (0x15)"),
      (.postMessage, 0x005C, "HvCallPostMessage (0x5c)"),
      (.signalEvent, 0x005D, "HvCallSignalEvent (0x5d)"),
      (.extendedQueryCapabilities, 0x8001, "HvExtCallQueryCapabilities (0x8001)"),
      (.extendedGetBootZeroedMemory, 0x8002, "HvExtCallGetBootZeroedMemory (0x8002)"),
      (.extendedMemoryHeatHint, 0x8003, "HvExtCallMemoryHeatHint (0x8003)"),
      (.extendedEPFSetup, 0x8004, "HvExtCallEpfSetup (0x8004)"),
      (.extendedSchedulerAssistSetup, 0x8005, "HvExtCallSchedulerAssistSetup (0x8005)"),
      (.extendedMemoryHeatHintAsync, 0x8006, "HvExtCallMemoryHeatHintAsync (0x8006)"),
      (HypercallCode(rawValue: 0xBEEF), 0xBEEF, "0xbeef"),
    ] as [(HypercallCode, UInt16, String)])
  func numbers(code: HypercallCode, number: UInt16, text: String) {
    #expect(code.rawValue == number)
    #expect(code.description == text)
  }

  @Test(
    "extended calls are 0x8001 to 0x8041",
    arguments: [
      (0x0001, false), (0x7FFF, false), (0x8000, false), (0x8001, true), (0x8002, true),
      (0x8003, true), (0x8040, true), (0x8041, true), (0x8042, false), (0xFFFF, false),
    ] as [(UInt16, Bool)])
  func extended(number: UInt16, isExtended: Bool) {
    #expect(HypercallCode(rawValue: number).isExtended == isExtended)
  }
}
