internal import CKVM
internal import CLinux

/// A request of ioctl(2), the roles that may make it, and why.
struct SandboxRequest: Sendable {
  let name: String
  let number: UInt32
  let roles: SandboxRoles
  var need: SandboxPermission.Need?
  let why: String

  init(
    _ name: String, _ number: UInt, _ roles: SandboxRoles,
    need: SandboxPermission.Need? = nil, why: String
  ) {
    self.name = name
    self.number = UInt32(truncatingIfNeeded: number)
    self.roles = roles
    self.need = need
    self.why = why
  }

  /// The most frequent first: the program tries them in this order.
  static let all: [SandboxRequest] = [
    SandboxRequest("KVM_RUN", CKVM_RUN, .guest, why: "enters the guest"),
    SandboxRequest("KVM_IRQ_LINE", CKVM_IRQ_LINE, .all, why: "interrupts by pin"),
    SandboxRequest("KVM_SIGNAL_MSI", CKVM_SIGNAL_MSI, .all, why: "interrupts by message"),
    SandboxRequest("KVM_GET_REGS", CKVM_GET_REGS, .guest, why: "hypercalls, failures"),
    SandboxRequest("KVM_SET_REGS", CKVM_SET_REGS, .guest, why: "hypercalls, entry"),
    SandboxRequest("KVM_GET_SREGS", CKVM_GET_SREGS, .guest, why: "hypercalls, entry"),
    SandboxRequest("KVM_SET_SREGS", CKVM_SET_SREGS, .guest, why: "entry"),
    SandboxRequest("KVM_GET_MSRS", CKVM_GET_MSRS, .guest, why: "a guest's crash report"),
    SandboxRequest(
      "KVM_GET_VCPU_EVENTS", CKVM_GET_VCPU_EVENTS, .guest, why: "faults put into the guest"),
    SandboxRequest(
      "KVM_SET_VCPU_EVENTS", CKVM_SET_VCPU_EVENTS, .guest, why: "faults put into the guest"),
    SandboxRequest("KVM_SMI", CKVM_SMI, .guest, why: "system management interrupts"),
    SandboxRequest(
      "KVM_GET_DIRTY_LOG", CKVM_GET_DIRTY_LOG, .pictures, why: "which pages the guest wrote"),
    SandboxRequest(
      "KVM_CLEAR_DIRTY_LOG", CKVM_CLEAR_DIRTY_LOG, .logs,
      why: "pages given back; a picture that was looked at"),
    SandboxRequest(
      "KVM_SET_USER_MEMORY_REGION", CKVM_SET_USER_MEMORY_REGION, .slots,
      why:
        "guest memory, also added; a dirty log's beginning and end, also by an answer or a viewer"),
    SandboxRequest(
      "KVM_GET_MP_STATE", CKVM_GET_MP_STATE, .guest, why: "what a vCPU does, for a report"),
    SandboxRequest(
      "TUNSETOFFLOAD", CLINUX_TUNSETOFFLOAD, .network, need: .network,
      why: "what a guest's network card takes unfinished from a tap device"),
    SandboxRequest(
      "TUNSETQUEUE", CLINUX_TUNSETQUEUE, .network, need: .network,
      why: "how many queues of a tap device a guest's network card uses"),
    SandboxRequest("TIOCGWINSZ", 0x5413, .guest, why: "width of the progress line"),
    SandboxRequest(
      "TIOCGPGRP", 0x540F, .service, why: "whether a shell has the terminal"),
    SandboxRequest("TCGETS", 0x5401, .all, why: "the terminal, also restored by a crash"),
    SandboxRequest("TCSETS", 0x5402, .all, why: "the terminal, also restored by a crash"),
    SandboxRequest("TCSETSW", 0x5403, .service, why: "the terminal in raw mode"),
    SandboxRequest("KVM_GET_API_VERSION", CKVM_GET_API_VERSION, .service, why: set),
    SandboxRequest("KVM_CREATE_VM", CKVM_CREATE_VM, .service, why: set),
    SandboxRequest("KVM_CHECK_EXTENSION", CKVM_CHECK_EXTENSION, .service, why: set),
    SandboxRequest("KVM_GET_VCPU_MMAP_SIZE", CKVM_GET_VCPU_MMAP_SIZE, .service, why: set),
    SandboxRequest("KVM_GET_SUPPORTED_CPUID", CKVM_GET_SUPPORTED_CPUID, .service, why: set),
    SandboxRequest("KVM_GET_SUPPORTED_HV_CPUID", CKVM_GET_SUPPORTED_HV_CPUID, .service, why: set),
    SandboxRequest("KVM_CREATE_VCPU", CKVM_CREATE_VCPU, .service, why: set),
    SandboxRequest("KVM_ENABLE_CAP", CKVM_ENABLE_CAP, .service, why: set),
    SandboxRequest("KVM_CREATE_IRQCHIP", CKVM_CREATE_IRQCHIP, .service, why: set),
    SandboxRequest("KVM_CREATE_PIT2", CKVM_CREATE_PIT2, .service, why: set),
    SandboxRequest("KVM_SET_GSI_ROUTING", CKVM_SET_GSI_ROUTING, .service, why: set),
    SandboxRequest("KVM_IRQFD", CKVM_IRQFD, .service, why: set),
    SandboxRequest("KVM_HYPERV_EVENTFD", CKVM_HYPERV_EVENTFD, .service, why: set),
    SandboxRequest("KVM_SET_TSS_ADDR", CKVM_SET_TSS_ADDR, .service, why: set),
    SandboxRequest("KVM_SET_IDENTITY_MAP_ADDR", CKVM_SET_IDENTITY_MAP_ADDR, .service, why: set),
    SandboxRequest("KVM_X86_SET_MSR_FILTER", CKVM_X86_SET_MSR_FILTER, .service, why: set),
    SandboxRequest("KVM_SET_CPUID2", CKVM_SET_CPUID2, .service, why: set),
    SandboxRequest("KVM_GET_TSC_KHZ", CKVM_GET_TSC_KHZ, .service, why: set),
    SandboxRequest(
      "KVM_GET_TSC_KHZ, when saved", CKVM_GET_TSC_KHZ, .guest, need: .saving, why: saved),
    SandboxRequest("KVM_SET_MSRS", CKVM_SET_MSRS, .service, why: set),
    SandboxRequest("KVM_SET_MP_STATE", CKVM_SET_MP_STATE, .service, why: set),
    SandboxRequest("KVM_GET_STATS_FD", CKVM_GET_STATS_FD, .service, why: "KVM's counters"),
    SandboxRequest(
      "PAGEMAP_SCAN", CKVM_PAGEMAP_SCAN, .guest, need: .pageTables,
      why: "which pages the guest wrote, or the host has populated"),
    SandboxRequest(
      "UFFDIO_UNREGISTER", CKVM_UFFDIO_UNREGISTER, .guest, need: .writeProtection,
      why: "the end of tracking, also by an answer"),
    SandboxRequest(
      "USERFAULTFD_IOC_NEW", CKVM_USERFAULTFD_IOC_NEW, .service, need: .writeProtection, why: set),
    SandboxRequest("UFFDIO_API", CKVM_UFFDIO_API, .service, need: .writeProtection, why: set),
    SandboxRequest(
      "UFFDIO_REGISTER", CKVM_UFFDIO_REGISTER, .service, need: .writeProtection, why: set),
    SandboxRequest(
      "UFFDIO_WRITEPROTECT", CKVM_UFFDIO_WRITEPROTECT, .growth, need: .writeProtection,
      why: "makes a machine, again after a reset; memory that is added"),
    SandboxRequest(
      "KVM_GET_SREGS2", CKVM_GET_SREGS2, .guest, need: .saving, why: saved),
    SandboxRequest(
      "KVM_GET_XSAVE", CKVM_GET_XSAVE, .guest, need: .saving, why: saved),
    SandboxRequest(
      "KVM_GET_XSAVE2", CKVM_GET_XSAVE2, .guest, need: .saving, why: saved),
    SandboxRequest(
      "KVM_GET_XCRS", CKVM_GET_XCRS, .guest, need: .saving, why: saved),
    SandboxRequest(
      "KVM_GET_DEBUGREGS", CKVM_GET_DEBUGREGS, .guest, need: .saving, why: saved),
    SandboxRequest(
      "KVM_GET_LAPIC", CKVM_GET_LAPIC, .guest, need: .saving, why: saved),
    SandboxRequest(
      "KVM_GET_MSR_INDEX_LIST", CKVM_GET_MSR_INDEX_LIST, .service, need: .saving, why: saved),
    SandboxRequest(
      "KVM_GET_IRQCHIP", CKVM_GET_IRQCHIP, .service, need: .saving, why: saved),
    SandboxRequest(
      "KVM_GET_PIT2", CKVM_GET_PIT2, .service, need: .saving, why: saved),
    SandboxRequest(
      "KVM_GET_CLOCK", CKVM_GET_CLOCK, .service, need: .saving, why: saved),
    SandboxRequest(
      "KVM_SET_SREGS2", CKVM_SET_SREGS2, .service, need: .saving, why: restored),
    SandboxRequest(
      "KVM_SET_XSAVE", CKVM_SET_XSAVE, .service, need: .saving, why: restored),
    SandboxRequest(
      "KVM_SET_XCRS", CKVM_SET_XCRS, .service, need: .saving, why: restored),
    SandboxRequest(
      "KVM_SET_DEBUGREGS", CKVM_SET_DEBUGREGS, .service, need: .saving, why: restored),
    SandboxRequest(
      "KVM_SET_LAPIC", CKVM_SET_LAPIC, .service, need: .saving, why: restored),
    SandboxRequest(
      "KVM_SET_TSC_KHZ", CKVM_SET_TSC_KHZ, .service, need: .saving, why: restored),
    SandboxRequest(
      "KVM_SET_IRQCHIP", CKVM_SET_IRQCHIP, .service, need: .saving, why: restored),
    SandboxRequest(
      "KVM_SET_PIT2", CKVM_SET_PIT2, .service, need: .saving, why: restored),
    SandboxRequest(
      "KVM_SET_CLOCK", CKVM_SET_CLOCK, .service, need: .saving, why: restored),
  ]

  private static let saved = "what a vCPU or the kernel has, for a machine that is saved"
  private static let restored = "the same, for a machine that goes on"
  private static let set = "makes a machine, again after a reset"
}
