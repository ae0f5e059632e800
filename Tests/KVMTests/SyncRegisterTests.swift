import Testing

@testable import KVM

@Suite(
  .enabled(if: KVMDevice.isUsable, "needs read-write /dev/kvm"),
  .enabled(if: KVMDevice.hasSyncRegisters, "needs KVM_CAP_SYNC_REGS"),
  .serialized, .timeLimit(.minutes(10)))
struct SyncRegisterTests {
  /// A guest that stands at its first exit.
  private func stoppedGuest() throws -> TinyGuest {
    var guest = try TinyGuest(RegisterTests.twoWrites)
    guest.vcpu.synchronizeRegisters(system: true)
    try guest.vcpu.setGeneralRegisters(RegisterTests.numbered)
    #expect(try guest.vcpu.run() == .portOut(PortAccess(port: 0x10, width: 1, count: 1)))
    return guest
  }

  @Test func theRunPageEqualsTheSystemCalls() throws {
    var guest = try stoppedGuest()
    let heldSets = guest.vcpu.heldSets
    #expect(heldSets != 0)
    let general = try guest.vcpu.generalRegisters()
    let system = try guest.vcpu.systemRegisters()
    // From here on the run page is not looked at.
    let mode = try guest.vcpu.processorMode()
    guest.vcpu.heldSets = 0
    #expect(try guest.vcpu.processorMode() == mode)
    #expect(try guest.vcpu.generalRegisters() == general)
    #expect(general.r15 == RegisterTests.numbered.r15)
    let called = try guest.vcpu.systemRegisters()
    #expect(called.cs == system.cs)
    #expect(called.ss == system.ss)
    #expect(called.cr0 == system.cr0)
    #expect(called.efer == system.efer)
    #expect(called.idt == system.idt)
  }

  @Test func generalRegistersSetThroughThePageTakeEffect() throws {
    var guest = try stoppedGuest()
    var registers = try guest.vcpu.generalRegisters()
    registers.rax = 0x99
    try guest.vcpu.setGeneralRegisters(registers)
    #expect(try guest.vcpu.generalRegisters().rax == 0x99)
    #expect(try guest.vcpu.run() == .portOut(PortAccess(port: 0x11, width: 1, count: 1)))
    #expect(guest.vcpu.portOutputValue() == 0x99)
    #expect(try guest.vcpu.generalRegisters().rax == 0x99)
  }

  @Test(arguments: [true, false])
  func whatACallReturnsTakesEffectAndChangesNoOther(isSynchronized: Bool) throws {
    var guest = try stoppedGuest()
    if !isSynchronized { guest.vcpu.heldSets = 0 }
    let before = try guest.vcpu.generalRegisters()
    let arguments = try guest.vcpu.argumentRegisters()
    #expect(
      arguments
        == ArgumentRegisters(
          rax: before.rax, rbx: before.rbx, rcx: before.rcx, rdx: before.rdx, rsi: before.rsi,
          rdi: before.rdi, r8: before.r8, rip: before.rip))
    try guest.vcpu.setResultRegisters(rax: 0x77, rdx: 0x88)
    #expect(try guest.vcpu.run() == .portOut(PortAccess(port: 0x11, width: 1, count: 1)))
    #expect(guest.vcpu.portOutputValue() == 0x77)
    var after = try guest.vcpu.generalRegisters()
    #expect(after.rax == 0x77 && after.rdx == 0x88)
    after.rax = before.rax
    after.rdx = before.rdx
    after.rip = before.rip
    #expect(after == before)
  }

  @Test func onlyTheNextExitIsSynchronized() throws {
    var guest = try stoppedGuest()
    _ = try guest.vcpu.run()
    let heldSets = guest.vcpu.heldSets
    #expect(heldSets == 0)
    #expect(try guest.vcpu.generalRegisters().r15 == RegisterTests.numbered.r15)
  }

  @Test func systemRegistersReadAfterSettingAreTheNewOnes() throws {
    var guest = try stoppedGuest()
    var registers = try guest.vcpu.systemRegisters()
    registers.cr2 = 0xABCD_0000
    try guest.vcpu.setSystemRegisters(registers)
    #expect(try guest.vcpu.systemRegisters().cr2 == 0xABCD_0000)
    #expect(try guest.vcpu.run() == .portOut(PortAccess(port: 0x11, width: 1, count: 1)))
    #expect(try guest.vcpu.systemRegisters().cr2 == 0xABCD_0000)
  }

  @Test func turnedOnAfterAnExitThePageIsNotTrustedYet() throws {
    var guest = try TinyGuest(RegisterTests.twoWrites)
    try guest.vcpu.setGeneralRegisters(RegisterTests.numbered)
    _ = try guest.vcpu.run()
    guest.vcpu.synchronizeRegisters(system: true)
    #expect(try guest.vcpu.generalRegisters().r15 == RegisterTests.numbered.r15)
  }

  @Test func offTheRegistersStillComeBySystemCall() throws {
    var guest = try TinyGuest(RegisterTests.twoWrites)
    try guest.vcpu.setGeneralRegisters(RegisterTests.numbered)
    _ = try guest.vcpu.run()
    var registers = try guest.vcpu.generalRegisters()
    #expect(registers.r15 == RegisterTests.numbered.r15)
    registers.rax = 0x55
    try guest.vcpu.setGeneralRegisters(registers)
    #expect(try guest.vcpu.run() == .portOut(PortAccess(port: 0x11, width: 1, count: 1)))
    #expect(guest.vcpu.portOutputValue() == 0x55)
  }
}
