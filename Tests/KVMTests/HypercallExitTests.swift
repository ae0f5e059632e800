import Testing

@testable import KVM

@Suite(
  .enabled(if: KVMDevice.isUsable, "needs read-write /dev/kvm"),
  .enabled(if: KVMDevice.hasHyperV, "needs KVM_CAP_HYPERV (CONFIG_KVM_HYPERV)"),
  .serialized, .timeLimit(.minutes(10)))
struct HypercallExitTests {
  /// 32-bit: names the guest's system, has KVM write the hypercall page at 0x3000, and calls it.
  static let code: [UInt8] = [
    0xB9, 0x00, 0x00, 0x00, 0x40,  // MOV ECX, 0x40000000 (HV_X64_MSR_GUEST_OS_ID)
    0xB8, 0x01, 0x00, 0x00, 0x00,  // MOV EAX, 1
    0x31, 0xD2,  // XOR EDX, EDX
    0x0F, 0x30,  // WRMSR
    0x41,  // INC ECX (HV_X64_MSR_HYPERCALL)
    0xB8, 0x01, 0x30, 0x00, 0x00,  // MOV EAX, 0x3001: page 3, enabled
    0x0F, 0x30,  // WRMSR
    0xB8, 0x01, 0x80, 0x00, 0x00,  // MOV EAX, 0x8001; EDX is 0
    0x31, 0xDB,  // XOR EBX, EBX
    0xB9, 0x00, 0x40, 0x00, 0x00,  // MOV ECX, 0x4000: input address
    0x31, 0xFF,  // XOR EDI, EDI
    0xBE, 0x00, 0x50, 0x00, 0x00,  // MOV ESI, 0x5000: output address
    0xFF, 0xD5,  // CALL EBP
    0xF4,  // HLT
  ]

  /// TLFS 6.0b §3.7: input value in EDX:EAX, addresses in EBX:ECX and EDI:ESI, result in EDX:EAX.
  @Test func anExtendedHypercallExitsAndIsAnswered() throws {
    var guest = try TinyGuest(Self.code, mode: .protected)
    let features = try KVMSystem().supportedCPUID().filter { $0.function < 0x4000_0000 }
    try guest.vcpu.setCPUID(features + guest.vcpu.supportedHyperVCPUID())
    try guest.restart {
      $0.rbp = 0x3000
      $0.rsp = 0x8000
    }
    #expect(
      try guest.vcpu.run()
        == .hyperVHypercall(input: 0x8001, inputAddress: 0x4000, outputAddress: 0x5000))
    guest.vcpu.completeHypercall(0x0000_0002_0000_0005)
    #expect(try guest.vcpu.run() == .halt)
    let registers = try guest.vcpu.generalRegisters()
    #expect(registers.rax == 5)
    #expect(registers.rdx == 2)
  }
}
