internal import Devices
internal import Glibc
internal import GuestMemory
internal import HostSystem
internal import HyperVCore
internal import KVM
internal import Synchronization

/// Hyper-V's MSRs and hypercalls, implemented here for a KVM that has none.
///
/// MSR accesses exit by the MSR filter; hypercalls by an `out` to a private port, which is all the
/// code in the hypercall page. Called on the vCPUs' threads; the partition's registers are one
/// value under a lock, and what decides on hypercalls one atomic word.
final class UserspaceHyperV: Sendable {
  /// Not assigned to any device of a PC.
  static let hypercallPort: UInt8 = 0xEE
  /// IA32_TIME_STAMP_COUNTER.
  private static let timeStampCounter: UInt32 = 0x10
  private static let invalidOpcode: UInt8 = 6

  private let registers: Mutex<SyntheticMSRs>
  /// The registers' `admissionState`: written under their lock, read without it by every hypercall.
  private let admission: Atomic<UInt64>
  private let guest: GuestMemory
  private let service: HypercallService

  init(
    enlightenments: Enlightenments, clock: PartitionClock, memory: GuestMemory,
    service: HypercallService
  ) {
    let initial = SyntheticMSRs(enlightenments: enlightenments, clock: clock)
    admission = Atomic(initial.admissionState.rawValue)
    registers = Mutex(initial)
    guest = memory
    self.service = service
  }

  /// Sends the synthetic MSRs to this process.
  static func prepare(_ machine: VirtualMachine) throws(KVMError) {
    // A KVM with CONFIG_KVM_HYPERV knows these MSRs, so they must be filtered; one without exits
    // for unknown MSRs.
    if machine.value(of: .msrFilter) > 0 {
      try machine.sendMSRExits(for: [.unknown, .filtered])
      try machine.denyMSRs(SyntheticMSR.range)
    } else {
      try machine.sendMSRExits(for: .unknown)
    }
  }

  /// The value, or nil for #GP.
  func readMSR(_ index: UInt32, vcpu: borrowing VCPU) throws(KVMError) -> UInt64? {
    let msr = SyntheticMSR(rawValue: index)
    let context = try context(of: vcpu, for: msr)
    return registers.withLock { registers in
      switch registers.read(msr, context: context) {
      case .value(let value): value
      case .fault: nil
      }
    }
  }

  /// What the write asks of the machine, or nil for #GP. Overlay pages are in place on return.
  func writeMSR(
    _ index: UInt32, value: UInt64, vcpu: borrowing VCPU
  ) throws(KVMError) -> [MSREffect]? {
    let msr = SyntheticMSR(rawValue: index)
    let context = try context(of: vcpu, for: msr)
    return registers.withLock { registers in
      guard case .done(let effects) = registers.write(msr, value: value, context: context) else {
        return nil
      }
      // Under the lock, so that two vCPUs' writes to a register and its page do not cross.
      for effect in effects {
        place(effect, referenceTSCPage: registers.referenceTSCPage)
      }
      // Whoever finds the page enabled finds its code there as well.
      admission.store(registers.admissionState.rawValue, ordering: .releasing)
      return effects
    }
  }

  /// What a register holds that keeps what was written (`SyntheticMSR.kept`); nil if there is none.
  /// Any thread.
  func value(of msr: SyntheticMSR, vcpuID: UInt32) -> UInt64? {
    // Neither the time nor RAM is asked for by a read of these.
    let context = VirtualProcessorContext(
      vpIndex: vcpuID, timestampCounter: 0, runTime: 0, isPageInRAM: { _ in false })
    return registers.withLock { registers in
      guard case .value(let value) = registers.read(msr, context: context) else { return nil }
      return value
    }
  }

  /// What the guest has written, for a machine that is saved.
  var contents: SyntheticMSRs.Contents { registers.withLock { $0.contents } }

  /// Takes over what a guest had written before it was saved; no vCPU runs yet.
  func restore(_ contents: SyntheticMSRs.Contents) {
    registers.withLock { registers in
      registers.restore(contents)
      admission.store(registers.admissionState.rawValue, ordering: .releasing)
    }
  }

  /// What the guest said it is.
  var guestIdentity: GuestIdentity {
    GuestIdentity(rawValue: registers.withLock { $0.guestOSID })
  }

  private func place(_ effect: MSREffect, referenceTSCPage: ReferenceTSCPage) {
    // The register write was refused unless the page is RAM, so these writes cannot fail.
    switch effect {
    case .hypercallPageEnabled(let page):
      try? guest.write(HypercallPage.code(port: Self.hypercallPort), at: GPA(page << 12))
    case .referenceTSCPageEnabled(let page):
      for step in referenceTSCPage.updateSteps {
        try? guest.write(step.bytes, at: GPA(page << 12 + UInt64(step.byteOffset)))
      }
    case .vpAssistPageEnabled(let page):
      try? guest.store(0 as UInt32, at: GPA(page << 12))
    case .hypercallPageDisabled, .reset, .guestCrashed:
      break
    }
  }

  private func context(
    of vcpu: borrowing VCPU, for msr: SyntheticMSR
  ) throws(KVMError) -> VirtualProcessorContext {
    // The one register whose value is the time; it costs an ioctl.
    let now = msr == .timeReferenceCount ? try vcpu.readMSR(Self.timeStampCounter) : 0
    let runTime = msr == .vpRuntime ? HostClock.threadNanoseconds() / 100 : 0
    return VirtualProcessorContext(
      vpIndex: vcpu.id, timestampCounter: now, runTime: runTime,
      isPageInRAM: { [guest] page in guest.isRAM(GPA(page << 12), byteCount: 4096) })
  }

  /// Answers an `out` to the hypercall port: the hypercall, or #UD if it came from elsewhere.
  ///
  /// Hypercalls come in bursts: the next exit brings its registers along. If that is a
  /// hypercall too, and admitted, it makes no system call.
  func answerHypercall(vcpu: inout VCPU) throws(KVMError) {
    let mode = try vcpu.processorMode()
    let general = try vcpu.argumentRegisters()
    let convention = HypercallConvention(
      isLongModeActive: mode.isLongModeActive, isCodeSegment64Bit: mode.isCodeSegment64Bit)
    let linear =
      convention == .bits64 ? general.rip : (general.rip &+ mode.codeSegmentBase) & 0xFFFF_FFFF
    let state = HypercallAdmissionState(rawValue: admission.load(ordering: .acquiring))
    let verdict = state.admits(
      isProtectedMode: mode.isProtected, privilegeLevel: Int(mode.privilegeLevel),
      instructionAddress: instructionAddress(linear: linear, mode: mode))
    vcpu.synchronizeRegisters(system: true)
    guard case .accept = verdict else { return try refuse(vcpu: &vcpu) }
    var values = HypercallRegisters(
      rax: general.rax, rbx: general.rbx, rcx: general.rcx, rdx: general.rdx, rsi: general.rsi,
      rdi: general.rdi, r8: general.r8)
    let result = service.answer(convention.request(from: values), vcpuID: vcpu.id)
    convention.setResult(result, in: &values)
    try vcpu.setResultRegisters(rax: values.rax, rdx: values.rdx)
  }

  /// Where the `out` begins. KVM leaves RIP on it when the processor exits directly, and behind it
  /// when KVM emulated the instruction.
  private func instructionAddress(linear: UInt64, mode: ProcessorMode) -> GuestAddress? {
    let length = UInt64(HypercallPage.instructionByteCount)
    let offset = linear & 0xFFF
    let start = offset == length ? linear &- length : linear
    return GuestPageWalk(mode: mode).physicalAddress(of: start, in: guest)
      .map { GuestAddress(rawValue: $0) }
  }

  private func refuse(vcpu: inout VCPU) throws(KVMError) {
    // Finish the `out`, so that RIP is behind it on every KVM, then fault on it.
    try vcpu.finishPendingExit()
    var general = try vcpu.generalRegisters()
    general.rip &-= UInt64(HypercallPage.instructionByteCount)
    try vcpu.setGeneralRegisters(general)
    try vcpu.injectException(vector: Self.invalidOpcode)
  }
}
