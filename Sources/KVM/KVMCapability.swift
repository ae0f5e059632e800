internal import CKVM

/// A `KVM_CAP_*` number, open: the kernel knows more of them than this file.
public struct KVMCapability: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  /// The number that KVM_CHECK_EXTENSION takes.
  public let rawValue: Int32

  /// Any number: the kernel answers 0 for one that it does not know.
  public init(rawValue: Int32) {
    self.rawValue = rawValue
  }

  /// KVM_CAP_NR_MEMSLOTS: how many memory slots one VM may have.
  public static let memorySlots = KVMCapability(rawValue: KVM_CAP_NR_MEMSLOTS)
  /// KVM_CAP_MAX_VCPUS: how many vCPUs one VM may have.
  public static let maximumVCPUs = KVMCapability(rawValue: KVM_CAP_MAX_VCPUS)
  /// KVM_CAP_IRQCHIP: interrupt controllers in the kernel.
  public static let irqchip = KVMCapability(rawValue: KVM_CAP_IRQCHIP)
  /// KVM_CAP_PIT2: the interval timer in the kernel.
  public static let intervalTimer = KVMCapability(rawValue: KVM_CAP_PIT2)
  /// KVM_CAP_IRQ_ROUTING: which pins a global system interrupt drives can be chosen.
  public static let interruptRouting = KVMCapability(rawValue: KVM_CAP_IRQ_ROUTING)
  /// KVM_CAP_SIGNAL_MSI: a message-signalled interrupt without a route.
  public static let signalMSI = KVMCapability(rawValue: KVM_CAP_SIGNAL_MSI)
  /// KVM_CAP_IMMEDIATE_EXIT: a race-free kick.
  public static let immediateExit = KVMCapability(rawValue: KVM_CAP_IMMEDIATE_EXIT)
  /// KVM_CAP_SYNC_REGS: registers in the shared run page; the value is the mask of register sets.
  public static let syncRegisters = KVMCapability(rawValue: KVM_CAP_SYNC_REGS)
  /// KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: reading the dirty log does not reset it.
  public static let manualDirtyLogProtect = KVMCapability(
    rawValue: KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)
  /// KVM_CAP_X86_USER_SPACE_MSR: MSR accesses can exit to userspace.
  public static let userSpaceMSR = KVMCapability(rawValue: KVM_CAP_X86_USER_SPACE_MSR)
  /// KVM_CAP_X86_MSR_FILTER: chosen MSRs are denied in the kernel, and so exit.
  public static let msrFilter = KVMCapability(rawValue: KVM_CAP_X86_MSR_FILTER)
  /// KVM_CAP_BINARY_STATS_FD: counters of a VM.
  public static let statistics = KVMCapability(rawValue: KVM_CAP_BINARY_STATS_FD)
  /// KVM_CAP_X86_SMM: system management mode.
  public static let systemManagementMode = KVMCapability(rawValue: KVM_CAP_X86_SMM)
  /// KVM_CAP_MULTI_ADDRESS_SPACE: how many sets of memory slots a VM has.
  public static let addressSpaces = KVMCapability(rawValue: KVM_CAP_MULTI_ADDRESS_SPACE)
  /// KVM_CAP_HYPERV: the kernel was built with CONFIG_KVM_HYPERV.
  public static let hyperV = KVMCapability(rawValue: KVM_CAP_HYPERV)
  /// KVM_CAP_HYPERV_CPUID: KVM_GET_SUPPORTED_HV_CPUID on a vCPU.
  public static let hyperVCPUID = KVMCapability(rawValue: KVM_CAP_HYPERV_CPUID)
  /// KVM_CAP_SYS_HYPERV_CPUID: KVM_GET_SUPPORTED_HV_CPUID on `/dev/kvm`.
  public static let systemHyperVCPUID = KVMCapability(rawValue: KVM_CAP_SYS_HYPERV_CPUID)
  /// KVM_CAP_HYPERV_SYNIC2: the synthetic interrupt controller, pages left to userspace.
  public static let hyperVSynIC2 = KVMCapability(rawValue: KVM_CAP_HYPERV_SYNIC2)
  /// KVM_CAP_HYPERV_ENLIGHTENED_VMCS: a nested hypervisor's VMCS in plain memory.
  public static let hyperVEnlightenedVMCS = KVMCapability(
    rawValue: KVM_CAP_HYPERV_ENLIGHTENED_VMCS)
  /// KVM_CAP_HYPERV_ENFORCE_CPUID: MSRs and hypercalls obey the CPUID leaves.
  public static let hyperVEnforceCPUID = KVMCapability(rawValue: KVM_CAP_HYPERV_ENFORCE_CPUID)

  /// KVM_CAP_HYPERV_EVENTFD: hypercall 0x005D can signal an eventfd.
  public static let hyperVEventFD = KVMCapability(rawValue: KVM_CAP_HYPERV_EVENTFD)

  /// KVM_CAP_XSAVE2: how many bytes a vCPU's extended state has, where it may be more than 4096.
  public static let extendedState = KVMCapability(rawValue: KVM_CAP_XSAVE2)
  /// KVM_CAP_SREGS2: system registers with the page directory pointers.
  public static let systemRegisters2 = KVMCapability(rawValue: KVM_CAP_SREGS2)
  /// KVM_CAP_XCRS: extended control registers.
  public static let extendedControl = KVMCapability(rawValue: KVM_CAP_XCRS)

  /// Name and first kernel of each capability above, for messages.
  private static let known: [(capability: KVMCapability, name: String, since: String)] = [
    (.memorySlots, "KVM_CAP_NR_MEMSLOTS", "2.6.26"),
    (.maximumVCPUs, "KVM_CAP_MAX_VCPUS", "3.2"),
    (.irqchip, "KVM_CAP_IRQCHIP", "2.6.20"),
    (.intervalTimer, "KVM_CAP_PIT2", "2.6.31"),
    (.interruptRouting, "KVM_CAP_IRQ_ROUTING", "2.6.30"),
    (.signalMSI, "KVM_CAP_SIGNAL_MSI", "3.5"),
    (.immediateExit, "KVM_CAP_IMMEDIATE_EXIT", "4.11"),
    (.syncRegisters, "KVM_CAP_SYNC_REGS", "4.17"),
    (.manualDirtyLogProtect, "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2", "5.0"),
    (.userSpaceMSR, "KVM_CAP_X86_USER_SPACE_MSR", "5.10"),
    (.msrFilter, "KVM_CAP_X86_MSR_FILTER", "5.10"),
    (.statistics, "KVM_CAP_BINARY_STATS_FD", "5.14"),
    (.systemManagementMode, "KVM_CAP_X86_SMM", "4.2"),
    (.addressSpaces, "KVM_CAP_MULTI_ADDRESS_SPACE", "4.2"),
    (.extendedState, "KVM_CAP_XSAVE2", "5.17"),
    (.systemRegisters2, "KVM_CAP_SREGS2", "5.14"),
    (.extendedControl, "KVM_CAP_XCRS", "2.6.36"),
    (.hyperV, "KVM_CAP_HYPERV", "2.6.34"),
    (.hyperVCPUID, "KVM_CAP_HYPERV_CPUID", "5.0"),
    (.systemHyperVCPUID, "KVM_CAP_SYS_HYPERV_CPUID", "5.11"),
    (.hyperVSynIC2, "KVM_CAP_HYPERV_SYNIC2", "4.13"),
    (.hyperVEnlightenedVMCS, "KVM_CAP_HYPERV_ENLIGHTENED_VMCS", "5.0"),
    (.hyperVEnforceCPUID, "KVM_CAP_HYPERV_ENFORCE_CPUID", "5.14"),
    (.hyperVEventFD, "KVM_CAP_HYPERV_EVENTFD", "4.17"),
  ]

  /// The kernel's spelling, or the number.
  public var description: String {
    Self.known.first { $0.capability == self }?.name ?? "capability \(rawValue)"
  }

  /// What to do when it is missing.
  public var cure: String {
    let since = Self.known.first { $0.capability == self }.map { "Linux \($0.since)" }
    let build =
      switch self {
      case .hyperV, .hyperVCPUID, .systemHyperVCPUID, .hyperVSynIC2, .hyperVEnlightenedVMCS,
        .hyperVEnforceCPUID, .hyperVEventFD:
        " built with CONFIG_KVM_HYPERV"
      default: ""
      }
    return "use a kernel from \(since ?? "a newer series") on\(build)"
  }
}
