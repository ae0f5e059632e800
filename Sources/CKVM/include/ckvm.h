// What Swift's importer cannot take from <linux/kvm.h>: request numbers, a variadic ioctl,
// flexible array members, shifted constants, and atomic access to a plain field.
// Thin by rule: nothing here decides anything.
#pragma once

#include <cpuid.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <asm/unistd.h>

_Static_assert(sizeof(struct kvm_userspace_memory_region) == 32, "KVM ABI");
_Static_assert(sizeof(struct kvm_dirty_log) == 16, "KVM ABI");
_Static_assert(sizeof(struct kvm_clear_dirty_log) == 24, "KVM ABI");
_Static_assert(sizeof(struct kvm_cpuid_entry2) == 40, "KVM ABI");
_Static_assert(sizeof(struct kvm_msr_entry) == 16, "KVM ABI");
_Static_assert(sizeof(struct kvm_irqfd) == 32, "KVM ABI");
_Static_assert(sizeof(struct kvm_hyperv_eventfd) == 24, "KVM ABI");
_Static_assert(offsetof(struct kvm_run, exit_reason) == 8, "KVM ABI");
_Static_assert(offsetof(struct kvm_run, s) == 304, "KVM ABI");

// The CPUID instruction. KVM_GET_SUPPORTED_CPUID is no substitute: it may leave out the brand string.
static inline void ckvm_host_cpuid(uint32_t function, uint32_t index,
                                   struct kvm_cpuid_entry2 *_Nonnull entry) {
  entry->function = function;
  entry->index = index;
  __cpuid_count(function, index, entry->eax, entry->ebx, entry->ecx, entry->edx);
}

// Requests on /dev/kvm.
static const unsigned long CKVM_GET_API_VERSION = KVM_GET_API_VERSION;
static const unsigned long CKVM_CREATE_VM = KVM_CREATE_VM;
static const unsigned long CKVM_CHECK_EXTENSION = KVM_CHECK_EXTENSION;
static const unsigned long CKVM_GET_VCPU_MMAP_SIZE = KVM_GET_VCPU_MMAP_SIZE;
static const unsigned long CKVM_GET_SUPPORTED_CPUID = KVM_GET_SUPPORTED_CPUID;
// KVM_CAP_HYPERV_CPUID (vCPU), KVM_CAP_SYS_HYPERV_CPUID (system).
static const unsigned long CKVM_GET_SUPPORTED_HV_CPUID = KVM_GET_SUPPORTED_HV_CPUID;

// Requests on a VM.
static const unsigned long CKVM_CREATE_VCPU = KVM_CREATE_VCPU;
static const unsigned long CKVM_SET_USER_MEMORY_REGION = KVM_SET_USER_MEMORY_REGION;
static const unsigned long CKVM_GET_DIRTY_LOG = KVM_GET_DIRTY_LOG;
// KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2.
static const unsigned long CKVM_CLEAR_DIRTY_LOG = KVM_CLEAR_DIRTY_LOG;
static const unsigned long CKVM_ENABLE_CAP = KVM_ENABLE_CAP;
static const unsigned long CKVM_CREATE_IRQCHIP = KVM_CREATE_IRQCHIP;
// KVM_CAP_IRQCHIP, KVM_CAP_PIT2, KVM_CAP_IRQ_ROUTING, KVM_CAP_SIGNAL_MSI, KVM_CAP_IOEVENTFD.
static const unsigned long CKVM_CREATE_PIT2 = KVM_CREATE_PIT2;
static const unsigned long CKVM_IRQ_LINE = KVM_IRQ_LINE;
static const unsigned long CKVM_SET_GSI_ROUTING = KVM_SET_GSI_ROUTING;
static const unsigned long CKVM_SIGNAL_MSI = KVM_SIGNAL_MSI;
// KVM_CAP_IRQFD_RESAMPLE, KVM_CAP_HYPERV_EVENTFD.
static const unsigned long CKVM_IRQFD = KVM_IRQFD;
static const uint32_t CKVM_IRQFD_FLAG_RESAMPLE = KVM_IRQFD_FLAG_RESAMPLE;
static const unsigned long CKVM_HYPERV_EVENTFD = KVM_HYPERV_EVENTFD;
static const unsigned long CKVM_SET_TSS_ADDR = KVM_SET_TSS_ADDR;
static const unsigned long CKVM_SET_IDENTITY_MAP_ADDR = KVM_SET_IDENTITY_MAP_ADDR;
// KVM_CAP_BINARY_STATS_FD.
static const unsigned long CKVM_GET_STATS_FD = KVM_GET_STATS_FD;
// KVM_CAP_X86_MSR_FILTER.
static const unsigned long CKVM_X86_SET_MSR_FILTER = KVM_X86_SET_MSR_FILTER;

// Requests on a vCPU.
static const unsigned long CKVM_RUN = KVM_RUN;
static const unsigned long CKVM_GET_REGS = KVM_GET_REGS;
static const unsigned long CKVM_SET_REGS = KVM_SET_REGS;
static const unsigned long CKVM_GET_SREGS = KVM_GET_SREGS;
static const unsigned long CKVM_SET_SREGS = KVM_SET_SREGS;
static const unsigned long CKVM_GET_MSRS = KVM_GET_MSRS;
static const unsigned long CKVM_SET_MSRS = KVM_SET_MSRS;
// KVM_CAP_MP_STATE.
static const unsigned long CKVM_GET_MSR_INDEX_LIST = KVM_GET_MSR_INDEX_LIST;
static const unsigned long CKVM_GET_SREGS2 = KVM_GET_SREGS2;
static const unsigned long CKVM_SET_SREGS2 = KVM_SET_SREGS2;
static const unsigned long CKVM_GET_XSAVE = KVM_GET_XSAVE;
static const unsigned long CKVM_GET_XSAVE2 = KVM_GET_XSAVE2;
static const unsigned long CKVM_SET_XSAVE = KVM_SET_XSAVE;
static const unsigned long CKVM_GET_XCRS = KVM_GET_XCRS;
static const unsigned long CKVM_SET_XCRS = KVM_SET_XCRS;
static const unsigned long CKVM_GET_DEBUGREGS = KVM_GET_DEBUGREGS;
static const unsigned long CKVM_SET_DEBUGREGS = KVM_SET_DEBUGREGS;
static const unsigned long CKVM_GET_LAPIC = KVM_GET_LAPIC;
static const unsigned long CKVM_SET_LAPIC = KVM_SET_LAPIC;
static const unsigned long CKVM_SET_TSC_KHZ = KVM_SET_TSC_KHZ;
static const unsigned long CKVM_GET_IRQCHIP = KVM_GET_IRQCHIP;
static const unsigned long CKVM_SET_IRQCHIP = KVM_SET_IRQCHIP;
static const unsigned long CKVM_GET_PIT2 = KVM_GET_PIT2;
static const unsigned long CKVM_SET_PIT2 = KVM_SET_PIT2;
static const unsigned long CKVM_GET_CLOCK = KVM_GET_CLOCK;
static const unsigned long CKVM_SET_CLOCK = KVM_SET_CLOCK;
static const unsigned long CKVM_GET_MP_STATE = KVM_GET_MP_STATE;
static const unsigned long CKVM_SET_MP_STATE = KVM_SET_MP_STATE;
static const unsigned long CKVM_SET_CPUID2 = KVM_SET_CPUID2;
static const unsigned long CKVM_GET_TSC_KHZ = KVM_GET_TSC_KHZ;
static const unsigned long CKVM_GET_VCPU_EVENTS = KVM_GET_VCPU_EVENTS;
static const unsigned long CKVM_SET_VCPU_EVENTS = KVM_SET_VCPU_EVENTS;
static const unsigned long CKVM_SMI = KVM_SMI;
static const uint16_t CKVM_RUN_IN_SMM = KVM_RUN_X86_SMM;

// Shifted by _BITUL or by an enumerator, which the importer skips.
static const uint64_t CKVM_SYNC_X86_REGS = KVM_SYNC_X86_REGS;
static const uint64_t CKVM_SYNC_X86_SREGS = KVM_SYNC_X86_SREGS;
static const uint32_t CKVM_MEM_LOG_DIRTY_PAGES = KVM_MEM_LOG_DIRTY_PAGES;
static const uint32_t CKVM_MEM_READONLY = KVM_MEM_READONLY;
static const uint32_t CKVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;
static const uint32_t CKVM_MSR_EXIT_REASON_INVAL = KVM_MSR_EXIT_REASON_INVAL;
static const uint32_t CKVM_MSR_EXIT_REASON_UNKNOWN = KVM_MSR_EXIT_REASON_UNKNOWN;
static const uint32_t CKVM_MSR_EXIT_REASON_FILTER = KVM_MSR_EXIT_REASON_FILTER;
static const uint32_t CKVM_MSR_FILTER_ACCESS = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE;
static const uint32_t CKVM_CPUID_FLAG_SIGNIFICANT_INDEX = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;

// Declared here and not by <sys/ioctl.h> and <unistd.h>: a C header belongs to the first module that
// includes it, and these are Glibc's.
int ioctl(int descriptor, unsigned long request, ...);
long syscall(long number, ...);
int getpid(void);

// ioctl is variadic; one function per kind of argument.
static inline int ckvm_ioctl_none(int descriptor, unsigned long request) {
  return ioctl(descriptor, request, 0UL);
}
static inline int ckvm_ioctl_value(int descriptor, unsigned long request, unsigned long value) {
  return ioctl(descriptor, request, value);
}
static inline int ckvm_ioctl_pointer(
    int descriptor, unsigned long request, void *_Nonnull argument) {
  return ioctl(descriptor, request, argument);
}

// GNU extensions, which glibc declares for _GNU_SOURCE only, and the importer does not define that.
static inline int ckvm_thread_id(void) { return (int)syscall(__NR_gettid); }
static inline int ckvm_signal_thread(int thread, int number) {
  return (int)syscall(__NR_tgkill, getpid(), thread, number);
}

// Flexible array members: where the entries begin.
static inline struct kvm_cpuid_entry2 *_Nonnull ckvm_cpuid_entries(
    struct kvm_cpuid2 *_Nonnull table) {
  return table->entries;
}
static inline struct kvm_msr_entry *_Nonnull ckvm_msr_entries(struct kvm_msrs *_Nonnull list) {
  return list->entries;
}
static inline struct kvm_irq_routing_entry *_Nonnull ckvm_irq_routing_entries(
    struct kvm_irq_routing *_Nonnull table) {
  return table->entries;
}

// Two of the registers that the next KVM_RUN takes along. In C, as Swift 6.3 with the thread sanitizer ends in a
// compiler error for stores into the members of kvm_run's unions.
static inline void ckvm_set_result_registers(
    struct kvm_run *_Nonnull run, uint64_t rax, uint64_t rdx) {
  run->s.regs.regs.rax = rax;
  run->s.regs.regs.rdx = rdx;
  run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
}

// The last exit, for a thread that is not the vCPU's: the kernel writes the page meanwhile, so the parts may not
// belong together.
static inline uint32_t ckvm_observed_exit_reason(const struct kvm_run *_Nonnull run) {
  return __atomic_load_n(&run->exit_reason, __ATOMIC_RELAXED);
}
static inline uint16_t ckvm_observed_port(const struct kvm_run *_Nonnull run) {
  return __atomic_load_n(&run->io.port, __ATOMIC_RELAXED);
}
static inline uint64_t ckvm_observed_address(const struct kvm_run *_Nonnull run) {
  return __atomic_load_n(&run->mmio.phys_addr, __ATOMIC_RELAXED);
}

// immediate_exit is written by another thread, or a signal handler, while KVM reads it.
static inline void ckvm_set_immediate_exit(struct kvm_run *_Nonnull run, uint8_t value) {
  __atomic_store_n(&run->immediate_exit, value, __ATOMIC_SEQ_CST);
}
static inline uint8_t ckvm_immediate_exit(struct kvm_run *_Nonnull run) {
  return __atomic_load_n(&run->immediate_exit, __ATOMIC_SEQ_CST);
}
