import CKVM
import Testing

@testable import KVM

/// Every wrapper of a system call, on a descriptor that is not open. Needs no KVM.
@Suite struct BadDescriptorTests {
  @Test func theDescriptorsOwnCalls() {
    BadDescriptor.expectRefusal("plain") { () throws(KVMError) in
      try BadDescriptor.owned.call(0, "plain")
    }
    BadDescriptor.expectRefusal("struct") { () throws(KVMError) in
      var argument: UInt64 = 0
      try BadDescriptor.owned.call(0, &argument, "struct")
    }
    BadDescriptor.expectRefusal("mmap of a vCPU's run page, 4096 bytes") { () throws(KVMError) in
      _ = try RunPage(descriptor: BadDescriptor.owned, byteCount: 4096)
    }
  }

  @Test func theSystem() {
    let system = BadDescriptor.system
    BadDescriptor.expectRefusal("KVM_GET_SUPPORTED_CPUID") { () throws(KVMError) in
      _ = try system.supportedCPUID()
    }
    BadDescriptor.expectRefusal("KVM_CREATE_VM") { () throws(KVMError) in
      _ = try system.makeVirtualMachine()
    }
    #expect(system.value(of: .memorySlots) == 0)
    #expect(!system.has(.irqchip))
    // It asks for the capability first, which a bad descriptor does not have.
    #expect(throws: KVMError.self) { try system.supportedHyperVCPUID() }
  }

  @Test func theMachine() {
    let machine = BadDescriptor.machine
    BadDescriptor.expectRefusal("KVM_CREATE_VCPU 7") { () throws(KVMError) in
      _ = try machine.makeVCPU(id: 7)
    }
    BadDescriptor.expectRefusal("KVM_CREATE_IRQCHIP") { () throws(KVMError) in
      try machine.makeInterruptControllers()
    }
    BadDescriptor.expectRefusal("KVM_SET_IDENTITY_MAP_ADDR 0xfeffc000") { () throws(KVMError) in
      try machine.setReservedPages(
        identityMapAddress: 0xFEFF_C000, taskStateAddress: 0xFEFF_D000)
    }
    BadDescriptor.expectRefusal("KVM_ENABLE_CAP KVM_CAP_X86_USER_SPACE_MSR argument 0x6") {
      () throws(KVMError) in
      try machine.sendMSRExits(for: [.unknown, .filtered])
    }
    BadDescriptor.expectRefusal("KVM_X86_SET_MSR_FILTER 0x40000000, 256 MSRs") {
      () throws(KVMError) in
      try machine.denyMSRs(0x4000_0000...0x4000_00FF)
    }
    #expect(machine.value(of: .memorySlots) == 0)
  }

  @Test func theMemorySlots() throws {
    let machine = BadDescriptor.machine
    let slot = MemorySlot(
      number: 2, guestPhysicalAddress: 0x10_0000, byteCount: 65 * 4096, hostAddress: 0x1000)
    let summary = "slot 2, GPA 0x100000, 266240 bytes"
    BadDescriptor.expectRefusal("KVM_SET_USER_MEMORY_REGION \(summary)") { () throws(KVMError) in
      try machine.setMemorySlot(slot, options: .logsDirtyPages)
    }
    BadDescriptor.expectRefusal("KVM_GET_DIRTY_LOG \(summary)") { () throws(KVMError) in
      var words: [UInt64] = [0, 0]
      var span = words.mutableSpan
      try machine.readDirtyLog(of: slot, into: &span)
    }
    BadDescriptor.expectRefusal("KVM_CLEAR_DIRTY_LOG \(summary), pages 64+1") {
      () throws(KVMError) in
      try machine.clearDirtyLog(of: slot, firstPage: 64, pageCount: 1)
    }
    // It asks for the capability first, which a bad descriptor does not have.
    #expect(try !machine.enableManualDirtyLogProtect())
  }

  @Test func theVCPUsRegisters() throws {
    let vcpu = try BadDescriptor.vcpu()
    BadDescriptor.expectRefusal("KVM_GET_REGS on vCPU 3") { () throws(KVMError) in
      _ = try vcpu.generalRegisters()
    }
    BadDescriptor.expectRefusal("KVM_SET_REGS on vCPU 3") { () throws(KVMError) in
      try vcpu.setGeneralRegisters(GeneralRegisters())
    }
    BadDescriptor.expectRefusal("KVM_GET_SREGS on vCPU 3") { () throws(KVMError) in
      _ = try vcpu.systemRegisters()
    }
    BadDescriptor.expectRefusal("KVM_SET_SREGS on vCPU 3") { () throws(KVMError) in
      try vcpu.setSystemRegisters(SystemRegisters(kvm_sregs()))
    }
    BadDescriptor.expectRefusal("KVM_GET_MSRS 0x10 on vCPU 3") { () throws(KVMError) in
      _ = try vcpu.readMSR(0x10)
    }
    BadDescriptor.expectRefusal("KVM_SET_CPUID2 with 0 entries") { () throws(KVMError) in
      try vcpu.setCPUID([])
    }
    BadDescriptor.expectRefusal("KVM_GET_SUPPORTED_HV_CPUID") { () throws(KVMError) in
      _ = try vcpu.supportedHyperVCPUID()
    }
    #expect(vcpu.tscKilohertz() == nil)
  }

  @Test func theVCPUsExecution() throws {
    var vcpu = try BadDescriptor.vcpu()
    BadDescriptor.expectRefusal("KVM_RUN on vCPU 3") { () throws(KVMError) in
      _ = try vcpu.run()
    }
    BadDescriptor.expectRefusal("KVM_RUN on vCPU 3") { () throws(KVMError) in
      try vcpu.finishPendingExit()
    }
    BadDescriptor.expectRefusal("KVM_GET_VCPU_EVENTS on vCPU 3") { () throws(KVMError) in
      try vcpu.injectException(vector: 6)
    }
    BadDescriptor.expectRefusal("KVM_ENABLE_CAP KVM_CAP_HYPERV_SYNIC2 on vCPU 3") {
      () throws(KVMError) in
      try vcpu.enable(.hyperVSynIC2)
    }
  }
}
