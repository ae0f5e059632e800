internal import CKVM
internal import Glibc
internal import HostSystem
internal import Synchronization

/// One virtual CPU, owned by the thread that runs it.
///
/// KVM binds a vCPU to its thread, so the type is not copyable, and two threads cannot share it:
/// other threads reach the vCPU by its `kicker` only. It moves to its thread through a `Mutex`,
/// which can be captured by that thread's closure:
///
/// ```swift
/// let handover = Mutex<VCPU?>(try machine.makeVCPU(id: 0))
/// Thread.detachNewThread {
///   guard var vcpu = handover.withLock({ $0.take() }) else { return }
///   vcpu.bindToCurrentThread()
///   // run it
/// }
/// ```
///
/// Source: KVM API, "vcpu ioctls".
public struct VCPU: ~Copyable {
  /// Its number in the VM, which is also its initial APIC ID.
  public let id: UInt32
  let descriptor: FileDescriptor
  let page: RunPage
  /// The sets of registers that the kernel can copy into the page.
  let synchronizableSets: UInt64
  /// Which of the page's registers are those of the guest; none but between an exit and the next
  /// run.
  var heldSets: UInt64 = 0
  // The VM outlives its vCPUs: memory slots go only with it.
  let machine: VirtualMachine

  init(
    id: UInt32, descriptor: consuming FileDescriptor, machine: VirtualMachine
  ) throws(KVMError) {
    let page = try RunPage(descriptor: descriptor, byteCount: machine.runPageByteCount)
    self.init(id: id, descriptor: descriptor, page: page, machine: machine)
  }

  init(
    id: UInt32, descriptor: consuming FileDescriptor, page: RunPage, machine: VirtualMachine
  ) {
    self.id = id
    self.page = page
    self.descriptor = descriptor
    self.machine = machine
    synchronizableSets = machine.synchronizedRegisterSets
  }

  /// Has the general registers (and, if asked, the system registers) copied into the run page at
  /// the next exit, where the kernel can (KVM_CAP_SYNC_REGS): reading them then costs no system
  /// call.
  ///
  /// For that one exit: most exits need no registers, and copying takes the kernel time.
  public mutating func synchronizeRegisters(system: Bool) {
    let sets = system ? CKVM_SYNC_X86_REGS | CKVM_SYNC_X86_SREGS : CKVM_SYNC_X86_REGS
    page.fields.kvm_valid_regs = sets & synchronizableSets
  }

  /// What ends this vCPU's KVM_RUN from another thread.
  public var kicker: VCPUKicker { VCPUKicker(page: page) }

  /// Makes the calling thread the one that runs this vCPU, so that a kick reaches it inside the
  /// guest.
  public func bindToCurrentThread() {
    VCPUKicker.prepareCurrentThread()
    page.threadID.store(ckvm_thread_id(), ordering: .sequentiallyConsistent)
  }

  /// Enters the guest until something needs userspace.
  ///
  /// A kick (`VCPUKicker`) or a signal gives `.interrupted`; so does every later call until
  /// `clearKick()`.
  public mutating func run() throws(KVMError) -> VCPUExit {
    let answer = ckvm_ioctl_none(descriptor.rawValue, CKVM_RUN)
    if answer < 0 {
      let error = Errno.current
      heldSets = 0
      switch error.rawValue {
      case EINTR, EAGAIN: return .interrupted
      default: throw .call(operation: "KVM_RUN on vCPU \(id)", error: error, cure: nil)
      }
    }
    heldSets = page.fields.kvm_valid_regs
    page.fields.kvm_valid_regs = 0
    return page.decodedExit()
  }

  /// Finishes the instruction that caused the last exit without entering the guest, so that
  /// registers can then be replaced (KVM API: re-enter with `immediate_exit` set).
  ///
  /// A kick from before or meanwhile stays in force.
  ///
  /// - Returns: nil when the instruction is finished; otherwise its next exit (string I/O, wide
  ///   MMIO), to be handled like one of `run()`, and finished in turn.
  @discardableResult
  public mutating func finishPendingExit() throws(KVMError) -> VCPUExit? {
    page.beginImmediateExit()
    defer { page.endImmediateExit() }
    let exit = try run()
    return exit == .interrupted ? nil : exit
  }

  /// Lets `run()` enter the guest again after a kick.
  public func clearKick() {
    page.clearKick()
  }
}

// It may move to another thread, but not be used by two: most of its methods change the run page.
@available(*, unavailable)
extension VCPU: Sendable {}
