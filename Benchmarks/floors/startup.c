// The floor of starting and ending a virtual machine: what the kernel itself takes.
//
// A VM with 64 MiB, a vCPU with the processor's CPUID table, without which no 64-bit guest starts, and
// a guest that writes one port and is gone: no Hyper-V, no tracking, no page tables. Plain C, so that
// nothing else is in the time. With the argument "bare" the CPUID table is left out too: reading it
// costs much where the host is itself a virtual machine, as every CPUID instruction exits there.
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int failed(const char *what) {
  perror(what);
  return 1;
}

static int set_cpuid(int kvm, int vcpu) {
  static struct {
    struct kvm_cpuid2 header;
    struct kvm_cpuid_entry2 entries[256];
  } table;
  table.header.nent = 256;
  if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &table) < 0) return -1;
  return ioctl(vcpu, KVM_SET_CPUID2, &table);
}

int main(int argc, char **argv) {
  int is_bare = argc > 1 && strcmp(argv[1], "bare") == 0;
  static const uint8_t program[] = {0xe6, 0xf4};  // out 0xF4, al
  const size_t memory_bytes = 64 << 20;
  int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm < 0) return failed("/dev/kvm");
  int vm = ioctl(kvm, KVM_CREATE_VM, 0UL);
  if (vm < 0) return failed("KVM_CREATE_VM");
  uint8_t *memory = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return failed("mmap");
  memcpy(memory + 0x1000, program, sizeof program);
  struct kvm_userspace_memory_region slot = {
      .memory_size = memory_bytes, .userspace_addr = (uintptr_t)memory};
  if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0) return failed("memory slot");
  int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0UL);
  if (vcpu < 0) return failed("KVM_CREATE_VCPU");
  if (!is_bare && set_cpuid(kvm, vcpu) < 0) return failed("CPUID");
  int run_bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0UL);
  struct kvm_run *run = mmap(NULL, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
  if (run == MAP_FAILED) return failed("mmap of kvm_run");
  struct kvm_sregs system;
  if (ioctl(vcpu, KVM_GET_SREGS, &system) < 0) return failed("KVM_GET_SREGS");
  system.cs.base = 0;
  system.cs.selector = 0;
  struct kvm_regs general = {.rip = 0x1000, .rflags = 2};
  if (ioctl(vcpu, KVM_SET_SREGS, &system) < 0) return failed("KVM_SET_SREGS");
  if (ioctl(vcpu, KVM_SET_REGS, &general) < 0) return failed("KVM_SET_REGS");
  if (ioctl(vcpu, KVM_RUN, 0UL) < 0) return failed("KVM_RUN");
  return run->exit_reason == KVM_EXIT_IO && run->io.port == 0xF4 ? 0 : 1;
}
