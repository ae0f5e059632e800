import CKVM
import Testing

@testable import KVM

@Suite(
  .enabled(if: KVMDevice.isUsable, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct RegisterTests {
  /// OUT 0x10, AL; OUT 0x11, AL; HLT
  static let twoWrites: [UInt8] = [0xE6, 0x10, 0xE6, 0x11, 0xF4]

  /// Every register another value, so that a mix-up shows.
  static var numbered: GeneralRegisters {
    var registers = GeneralRegisters()
    registers.rax = 0x0101_0101_0101_0101
    registers.rbx = 0x0202_0202_0202_0202
    registers.rcx = 0x0303_0303_0303_0303
    registers.rdx = 0x0404_0404_0404_0404
    registers.rsi = 0x0505_0505_0505_0505
    registers.rdi = 0x0606_0606_0606_0606
    registers.rsp = 0x0707_0707_0707_0707
    registers.rbp = 0x0808_0808_0808_0808
    registers.r8 = 0x0909_0909_0909_0909
    registers.r9 = 0x0A0A_0A0A_0A0A_0A0A
    registers.r10 = 0x0B0B_0B0B_0B0B_0B0B
    registers.r11 = 0x0C0C_0C0C_0C0C_0C0C
    registers.r12 = 0x0D0D_0D0D_0D0D_0D0D
    registers.r13 = 0x0E0E_0E0E_0E0E_0E0E
    registers.r14 = 0x0F0F_0F0F_0F0F_0F0F
    registers.r15 = 0x1010_1010_1010_1010
    registers.rip = UInt64(TinyGuest.codeAddress)
    registers.rflags = 0x46
    return registers
  }

  @Test func generalRegistersComeBackAsSet() throws {
    let guest = try TinyGuest(Self.twoWrites)
    try guest.vcpu.setGeneralRegisters(Self.numbered)
    #expect(try guest.vcpu.generalRegisters() == Self.numbered)
  }

  @Test func theGuestSeesWhatIsSetAndTheOtherWayRound() throws {
    // INC BX; MOV CL, AL; HLT
    var guest = try TinyGuest([0x43, 0x88, 0xC1, 0xF4])
    try guest.restart {
      $0.rax = 0x77
      $0.rbx = 0x1FFF
    }
    #expect(try guest.vcpu.run() == .halt)
    let registers = try guest.vcpu.generalRegisters()
    #expect(registers.rbx == 0x2000)
    #expect(registers.rcx == 0x77)
    #expect(registers.rip == UInt64(TinyGuest.codeAddress + 4))
  }

  @Test func systemRegistersComeBackAsSet() throws {
    let guest = try TinyGuest([0xF4])
    var registers = try guest.vcpu.systemRegisters()
    registers.gdt = DescriptorTableRegister(base: 0x3000, limit: 0x1F)
    registers.idt = DescriptorTableRegister(base: 0x4000, limit: 0xFF)
    registers.cr2 = 0xDEAD_B000
    registers.cr3 = 0x5000
    registers.fs = .flat(selector: 0x18, type: 3)
    registers.gs.base = 0x12_3000
    try guest.vcpu.setSystemRegisters(registers)
    let read = try guest.vcpu.systemRegisters()
    #expect(read.gdt == registers.gdt)
    #expect(read.idt == registers.idt)
    #expect(read.cr2 == registers.cr2)
    #expect(read.cr3 == registers.cr3)
    #expect(read.fs == registers.fs)
    #expect(read.gs == registers.gs)
    #expect(read.cs == registers.cs)
  }

  @Test func whatSystemRegistersDoNotNameIsKept() throws {
    let guest = try TinyGuest([0xF4])
    var raw = try guest.vcpu.systemRegisters().raw
    raw.cr8 = 5
    raw.fs.avl = 1
    try guest.vcpu.setSystemRegisters(SystemRegisters(raw))
    var registers = try guest.vcpu.systemRegisters()
    registers.cr2 = 0x1234
    try guest.vcpu.setSystemRegisters(registers)
    let read = try guest.vcpu.systemRegisters().raw
    #expect(read.cr2 == 0x1234)
    #expect(read.cr8 == 5)
    #expect(read.fs.avl == 1)
    #expect(read.apic_base == raw.apic_base)
    #expect(read.tr.selector == raw.tr.selector)
    #expect(read.ldt.type == raw.ldt.type)
  }

  @Test func contradictoryControlRegistersAreRefused() throws {
    let guest = try TinyGuest([0xF4])
    var registers = try guest.vcpu.systemRegisters()
    // Paging without protection.
    registers.cr0 = registers.cr0 & ~1 | 1 << 31
    let error = try #require(throws: KVMError.self) {
      try guest.vcpu.setSystemRegisters(registers)
    }
    #expect(
      "\(error)" == "KVM_SET_SREGS on vCPU 0: Invalid argument (EINVAL);"
        + " the kernel checks CR0, CR4 and EFER against each other and against CPUID")
  }

  @Test func oneMSRIsRead() throws {
    let guest = try TinyGuest([0xF4])
    // IA32_APIC_BASE.
    #expect(try guest.vcpu.readMSR(0x1B) == guest.vcpu.systemRegisters().raw.apic_base)
    #expect(
      throws: KVMError.invalidArgument("KVM does not know MSR 0x12345678 on vCPU 0")
    ) { try guest.vcpu.readMSR(0x1234_5678) }
  }

  @Test func theTSCFrequencyIsPlausible() throws {
    let guest = try TinyGuest([0xF4])
    if let frequency = guest.vcpu.tscKilohertz() { #expect(frequency > 100_000) }
    // Older kernels can be asked for a vCPU's only.
    if let frequency = guest.machine.tscKilohertz() {
      #expect(frequency == guest.vcpu.tscKilohertz())
    }
  }
}
