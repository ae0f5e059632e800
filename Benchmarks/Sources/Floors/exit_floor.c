#include "ExitFloor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "exits_interface.h"

enum {
  MEMORY_BYTES = 64 << 20,
  PROGRAM = 0x100000,
  DESCRIPTORS = 0x1000,
  TABLES = 0x10000,
  CPUID_ENTRIES = 256,
};

struct exit_floor {
  int kvm, vm, vcpu;
  size_t run_bytes;
  struct kvm_run *run;
  uint8_t *memory;
};

struct cpuid_table {
  struct kvm_cpuid2 header;
  struct kvm_cpuid_entry2 entries[CPUID_ENTRIES];
};

static int failed(const char *what) {
  fprintf(stderr, "exit floor: %s: %s\n", what, strerror(errno));
  return -1;
}

// The processor's leaves; with KVM's Hyper-V, its leaves in place of KVM's own.
static int set_cpuid(const struct exit_floor *floor, enum exit_floor_hypercalls hypercalls) {
  static struct cpuid_table processor, hypervisor;
  processor.header.nent = CPUID_ENTRIES;
  if (ioctl(floor->kvm, KVM_GET_SUPPORTED_CPUID, &processor) < 0) return -1;
  uint32_t count = 0;
  for (uint32_t i = 0; i < processor.header.nent; i++)
    if (processor.entries[i].function >> 28 != 4) processor.entries[count++] = processor.entries[i];
  if (hypercalls == EXIT_FLOOR_HYPERCALLS_BY_KVM) {
    hypervisor.header.nent = CPUID_ENTRIES;
    if (ioctl(floor->kvm, KVM_GET_SUPPORTED_HV_CPUID, &hypervisor) < 0) return -1;
    for (uint32_t i = 0; i < hypervisor.header.nent && count < CPUID_ENTRIES; i++)
      processor.entries[count++] = hypervisor.entries[i];
  }
  processor.header.nent = count;
  return ioctl(floor->vcpu, KVM_SET_CPUID2, &processor);
}

// As the VMM's flat programs are entered: 64-bit mode, ring 0, memory mapped to itself.
static int enter_long_mode(struct exit_floor *floor) {
  static const uint64_t descriptors[] = {
      0,
      0x00AF9B000000FFFF,
      0x00CF93000000FFFF,
      0x00CFFB000000FFFF,
      0x00CFF3000000FFFF,
      0x00AFFB000000FFFF,
  };
  memcpy(floor->memory + DESCRIPTORS, descriptors, sizeof descriptors);
  uint64_t *root = (uint64_t *)(floor->memory + TABLES), *pointers = root + 512;
  root[0] = (TABLES + 4096) | 0x27;
  for (uint64_t i = 0; i < 4; i++) {
    pointers[i] = (TABLES + (2 + i) * 4096) | 0x27;
    for (uint64_t j = 0; j < 512; j++) root[(2 + i) * 512 + j] = i << 30 | j << 21 | 0xE7;
  }
  struct kvm_sregs system;
  if (ioctl(floor->vcpu, KVM_GET_SREGS, &system) < 0) return -1;
  struct kvm_segment data = {
      .limit = ~0u, .selector = 0x10, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1};
  struct kvm_segment code = data;
  code.selector = 8;
  code.type = 0xB;
  code.db = 0;
  code.l = 1;
  system.cs = code;
  system.ds = system.es = system.fs = system.gs = system.ss = data;
  system.gdt.base = DESCRIPTORS;
  system.gdt.limit = sizeof descriptors - 1;
  system.idt.limit = 0;
  system.cr0 = 0x80000031;
  system.cr3 = TABLES;
  system.cr4 = 0x20;
  system.efer = 0x501;
  if (ioctl(floor->vcpu, KVM_SET_SREGS, &system) < 0) return -1;
  struct kvm_regs general = {.rip = PROGRAM, .rsp = PROGRAM, .rflags = 2};
  return ioctl(floor->vcpu, KVM_SET_REGS, &general);
}

static int make(struct exit_floor *floor, enum exit_floor_hypercalls hypercalls) {
  floor->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (floor->kvm < 0) return failed("/dev/kvm");
  floor->vm = ioctl(floor->kvm, KVM_CREATE_VM, 0UL);
  if (floor->vm < 0) return failed("KVM_CREATE_VM");
  // Where Hyper-V in the kernel has its interrupt controller, the VMM has this one.
  if (hypercalls == EXIT_FLOOR_HYPERCALLS_BY_KVM && ioctl(floor->vm, KVM_CREATE_IRQCHIP, 0UL) < 0)
    return failed("KVM_CREATE_IRQCHIP");
  struct kvm_userspace_memory_region slot = {
      .memory_size = MEMORY_BYTES, .userspace_addr = (uintptr_t)floor->memory};
  if (ioctl(floor->vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0) return failed("memory slot");
  floor->vcpu = ioctl(floor->vm, KVM_CREATE_VCPU, 0UL);
  if (floor->vcpu < 0) return failed("KVM_CREATE_VCPU");
  if (set_cpuid(floor, hypercalls) < 0) return failed("CPUID");
  floor->run_bytes = ioctl(floor->kvm, KVM_GET_VCPU_MMAP_SIZE, 0UL);
  floor->run =
      mmap(NULL, floor->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, floor->vcpu, 0);
  if (floor->run == MAP_FAILED) return failed("mmap of kvm_run");
  if (enter_long_mode(floor) < 0) return failed("registers");
  if (hypercalls == EXIT_FLOOR_HYPERCALLS_BY_PORT) {
    static const uint8_t page[] = {0xE6, 0xEE, 0xC3};  // out 0xEE, al; ret
    memcpy(floor->memory + EXITS_HYPERCALL_PAGE, page, sizeof page);
    floor->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
  }
  return 0;
}

struct exit_floor *exit_floor_make(const uint8_t *image, size_t byte_count,
                                   enum exit_floor_hypercalls hypercalls) {
  struct exit_floor *floor = calloc(1, sizeof *floor);
  if (!floor) return NULL;
  floor->kvm = floor->vm = floor->vcpu = -1;
  floor->run = MAP_FAILED;
  floor->memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (floor->memory != MAP_FAILED) {
    memcpy(floor->memory + PROGRAM, image, byte_count);
    if (make(floor, hypercalls) == 0) return floor;
  }
  exit_floor_free(floor);
  return NULL;
}

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000ll + time.tv_nsec;
}

int64_t exit_floor_round(struct exit_floor *floor) {
  struct kvm_run *run = floor->run;
  uint8_t *memory = floor->memory;
  int vcpu = floor->vcpu;
  int64_t begin = 0;
  for (;;) {
    if (ioctl(vcpu, KVM_RUN, 0UL) < 0) {
      if (errno == EINTR) continue;
      return failed("KVM_RUN");
    }
    switch (run->exit_reason) {
      case KVM_EXIT_IO:
        if (run->io.port == 0xEE) {
          *(uint64_t *)(memory + run->s.regs.regs.r8) = 1;
          run->s.regs.regs.rax = 0;
          run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
        } else if (run->io.direction == KVM_EXIT_IO_IN) {
          *(uint32_t *)((uint8_t *)run + run->io.data_offset) = 0x5A;
        } else if (run->io.port == EXITS_PORT_BEGIN) {
          begin = now();
        } else if (run->io.port == EXITS_PORT_END) {
          return now() - begin;
        }
        break;
      case KVM_EXIT_MMIO:
        if (!run->mmio.is_write) *(uint32_t *)run->mmio.data = 0x5A;
        break;
      case KVM_EXIT_HYPERV:
        *(uint64_t *)(memory + run->hyperv.u.hcall.params[1]) = 1;
        run->hyperv.u.hcall.result = 0;
        break;
      default:
        fprintf(stderr, "exit floor: exit %u\n", run->exit_reason);
        return -1;
    }
  }
}

void exit_floor_free(struct exit_floor *floor) {
  if (floor->run != MAP_FAILED) munmap(floor->run, floor->run_bytes);
  if (floor->vcpu >= 0) close(floor->vcpu);
  if (floor->vm >= 0) close(floor->vm);
  if (floor->kvm >= 0) close(floor->kvm);
  if (floor->memory != MAP_FAILED) munmap(floor->memory, MEMORY_BYTES);
  free(floor);
}
