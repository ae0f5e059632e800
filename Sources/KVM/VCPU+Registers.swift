internal import CKVM

extension VCPU {
  /// The general registers. No system call after an exit that `synchronizeRegisters` was asked for.
  public func generalRegisters() throws(KVMError) -> GeneralRegisters {
    if heldSets & CKVM_SYNC_X86_REGS != 0 {
      return unsafe GeneralRegisters(page.fields.s.regs.regs)
    }
    var raw = kvm_regs()
    try descriptor.call(CKVM_GET_REGS, &raw, "KVM_GET_REGS on vCPU \(id)")
    return GeneralRegisters(raw)
  }

  /// Replaces the general registers; after an exit that synchronised them, the next `run()` carries
  /// them along.
  public func setGeneralRegisters(_ registers: GeneralRegisters) throws(KVMError) {
    if heldSets & CKVM_SYNC_X86_REGS != 0 {
      unsafe page.fields.s.regs.regs = registers.raw
      page.fields.kvm_dirty_regs |= CKVM_SYNC_X86_REGS
      return
    }
    var raw = registers.raw
    try descriptor.call(CKVM_SET_REGS, &raw, "KVM_SET_REGS on vCPU \(id)")
  }

  /// The system registers. No system call after an exit when they are synchronised.
  public func systemRegisters() throws(KVMError) -> SystemRegisters {
    if heldSets & CKVM_SYNC_X86_SREGS != 0 {
      return unsafe SystemRegisters(page.fields.s.regs.sregs)
    }
    var raw = kvm_sregs()
    try descriptor.call(CKVM_GET_SREGS, &raw, "KVM_GET_SREGS on vCPU \(id)")
    return SystemRegisters(raw)
  }

  /// How the guest executes: some of `systemRegisters()`, and no more is copied.
  public func processorMode() throws(KVMError) -> ProcessorMode {
    guard heldSets & CKVM_SYNC_X86_SREGS != 0 else { return try systemRegisters().mode }
    return unsafe ProcessorMode(
      cr0: page.fields.s.regs.sregs.cr0, cr3: page.fields.s.regs.sregs.cr3,
      cr4: page.fields.s.regs.sregs.cr4, efer: page.fields.s.regs.sregs.efer,
      codeSegmentBase: page.fields.s.regs.sregs.cs.base,
      isCodeSegment64Bit: page.fields.s.regs.sregs.cs.l != 0,
      privilegeLevel: page.fields.s.regs.sregs.ss.dpl)
  }

  /// Replaces the system registers.
  public func setSystemRegisters(_ registers: SystemRegisters) throws(KVMError) {
    var raw = registers.raw
    try descriptor.call(
      CKVM_SET_SREGS, &raw, "KVM_SET_SREGS on vCPU \(id)",
      cure: "the kernel checks CR0, CR4 and EFER against each other and against CPUID")
    // Later reads must not see what was there at the exit.
    if heldSets & CKVM_SYNC_X86_SREGS != 0 {
      unsafe page.fields.s.regs.sregs = raw
    }
  }

  /// Gives the vCPU its CPUID table (KVM_SET_CPUID2); before its first run.
  public func setCPUID(_ entries: [CPUIDEntry]) throws(KVMError) {
    try CPUIDTable.write(entries, to: descriptor)
  }

  /// The Hyper-V leaves that KVM implements for this vCPU.
  public func supportedHyperVCPUID() throws(KVMError) -> [CPUIDEntry] {
    try CPUIDTable.read(
      from: descriptor, request: CKVM_GET_SUPPORTED_HV_CPUID, "KVM_GET_SUPPORTED_HV_CPUID")
  }

  /// The guest's TSC frequency in kHz, or nil where KVM does not know it.
  public func tscKilohertz() -> UInt64? {
    let answer = try? descriptor.call(CKVM_GET_TSC_KHZ, "KVM_GET_TSC_KHZ")
    return answer.flatMap { $0 > 0 ? UInt64($0) : nil }
  }

  /// Reads one MSR (KVM_GET_MSRS).
  public func readMSR(_ index: UInt32) throws(KVMError) -> UInt64 {
    var list = SingleMSR(index: index, value: 0)
    let count = try descriptor.call(
      CKVM_GET_MSRS, &list, "KVM_GET_MSRS 0x\(String(index, radix: 16)) on vCPU \(id)")
    guard count == 1 else {
      throw .invalidArgument("KVM does not know MSR 0x\(String(index, radix: 16)) on vCPU \(id)")
    }
    return list.entry.data
  }

  /// Raises an exception without error code at the current instruction pointer.
  ///
  /// Call `finishPendingExit()` first if the last exit still has an instruction to finish.
  public func injectException(vector: UInt8) throws(KVMError) {
    var events = kvm_vcpu_events()
    try descriptor.call(CKVM_GET_VCPU_EVENTS, &events, "KVM_GET_VCPU_EVENTS on vCPU \(id)")
    events.exception.injected = 1
    events.exception.nr = vector
    events.exception.has_error_code = 0
    try descriptor.call(
      CKVM_SET_VCPU_EVENTS, &events, "KVM_SET_VCPU_EVENTS on vCPU \(id), vector \(vector)")
  }

  /// Turns a capability of this vCPU on (KVM_ENABLE_CAP).
  public func enable(_ capability: KVMCapability, argument: UInt64 = 0) throws(KVMError) {
    var request = kvm_enable_cap()
    request.cap = UInt32(bitPattern: capability.rawValue)
    request.args.0 = argument
    try descriptor.call(
      CKVM_ENABLE_CAP, &request, "KVM_ENABLE_CAP \(capability) on vCPU \(id)",
      cure: capability.cure)
  }
}

extension VCPU {
  /// Turns KVM_CAP_HYPERV_ENLIGHTENED_VMCS on, after the CPUID table; Intel processors with nesting
  /// only.
  public func enableEnlightenedVMCS() throws(KVMError) {
    // KVM stores the versions that it knows, highest and lowest, and takes no null pointer.
    var versions: UInt16 = 0
    try unsafe withUnsafeMutablePointer(to: &versions) { (versions) throws(KVMError) in
      try enable(.hyperVEnlightenedVMCS, argument: UInt64(UInt(bitPattern: versions)))
    }
  }
}

/// `kvm_msrs` with exactly one entry; C lays a flexible array out right behind the header.
private struct SingleMSR {
  var header = kvm_msrs()
  var entry: kvm_msr_entry

  init(index: UInt32, value: UInt64) {
    header.nmsrs = 1
    entry = kvm_msr_entry(index: index, reserved: 0, data: value)
  }
}
