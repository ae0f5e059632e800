// What Swift's importer cannot take from the kernel's headers for a sandbox: seccomp, Landlock,
// close_range, and the handler of SIGSYS, which may do nothing that is not async-signal-safe.
#pragma once

#include <asm/unistd.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

_Static_assert(sizeof(struct sock_filter) == 8, "BPF ABI");
_Static_assert(offsetof(struct seccomp_data, nr) == 0, "seccomp ABI");
_Static_assert(offsetof(struct seccomp_data, arch) == 4, "seccomp ABI");
_Static_assert(offsetof(struct seccomp_data, args) == 16, "seccomp ABI");

// Instruction codes and answers, which are put together by casts and shifts.
static const uint16_t CLINUX_BPF_LOAD = BPF_LD | BPF_W | BPF_ABS;
static const uint16_t CLINUX_BPF_AND = BPF_ALU | BPF_AND | BPF_K;
static const uint16_t CLINUX_BPF_JUMP = BPF_JMP | BPF_JA | BPF_K;
static const uint16_t CLINUX_BPF_IF_EQUAL = BPF_JMP | BPF_JEQ | BPF_K;
static const uint16_t CLINUX_BPF_IF_AT_LEAST = BPF_JMP | BPF_JGE | BPF_K;
static const uint16_t CLINUX_BPF_RETURN = BPF_RET | BPF_K;
static const uint32_t CLINUX_AUDIT_ARCH_X86_64 = AUDIT_ARCH_X86_64;
static const uint32_t CLINUX_X32_BIT = __X32_SYSCALL_BIT;
static const uint32_t CLINUX_SECCOMP_ALLOW = SECCOMP_RET_ALLOW;
static const uint32_t CLINUX_SECCOMP_TRAP = SECCOMP_RET_TRAP;
static const uint32_t CLINUX_SECCOMP_ERRNO = SECCOMP_RET_ERRNO;

// Declared here and not by <unistd.h> and <sys/prctl.h>, which are Glibc's.
long syscall(long number, ...);
int prctl(int option, ...);

// PR_SET_NO_NEW_PRIVS and PR_GET_NO_NEW_PRIVS.
static inline int clinux_set_no_new_privileges(void) { return prctl(38, 1UL, 0UL, 0UL, 0UL); }
static inline int clinux_no_new_privileges(void) { return prctl(39, 0UL, 0UL, 0UL, 0UL); }

static inline int clinux_seccomp_set_filter(struct sock_fprog *_Nonnull program) {
  return (int)syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0U, program);
}
// Whether the kernel knows an answer of filters.
static inline int clinux_seccomp_action_available(uint32_t action) {
  return (int)syscall(__NR_seccomp, SECCOMP_GET_ACTION_AVAIL, 0U, &action);
}

#ifndef __NR_close_range
#define __NR_close_range 436
#endif
static inline int clinux_close_range(unsigned first, unsigned last) {
  return (int)syscall(__NR_close_range, first, last, 0U);
}

// M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_ARENA_MAX of <malloc.h>, which is Glibc's. The number of
// arenas is glibc's own limit on eight processors: any would do.
int mallopt(int option, int value);
static inline void clinux_allocator_keeps_memory(void) {
  (void)mallopt(-1, -1);
  (void)mallopt(-3, 1 << 20);
  (void)mallopt(-8, 64);
}

// Landlock, with what is younger than Debian 12's headers; the kernel reads as many bytes of the
// attributes as its ABI has.
#ifndef __NR_landlock_create_ruleset
#define __NR_landlock_create_ruleset 444
#define __NR_landlock_add_rule 445
#define __NR_landlock_restrict_self 446
#endif
struct clinux_landlock_attributes {
  uint64_t handled_access_fs;
  uint64_t handled_access_net;
  uint64_t scoped;
};
struct clinux_landlock_path {
  uint64_t allowed_access;
  int32_t parent_fd;
} __attribute__((packed));
_Static_assert(sizeof(struct clinux_landlock_path) == 12, "Landlock ABI");

// LANDLOCK_CREATE_RULESET_VERSION.
static inline int clinux_landlock_version(void) {
  return (int)syscall(__NR_landlock_create_ruleset, NULL, 0UL, 1U);
}
static inline int clinux_landlock_create(
    const struct clinux_landlock_attributes *_Nonnull attributes, size_t byte_count) {
  return (int)syscall(__NR_landlock_create_ruleset, attributes, byte_count, 0U);
}
// LANDLOCK_RULE_PATH_BENEATH.
static inline int clinux_landlock_add_path(
    int ruleset, const struct clinux_landlock_path *_Nonnull path) {
  return (int)syscall(__NR_landlock_add_rule, ruleset, 1U, path, 0U);
}
static inline int clinux_landlock_restrict_self(int ruleset) {
  return (int)syscall(__NR_landlock_restrict_self, ruleset, 0U);
}
// O_PATH is hidden behind _GNU_SOURCE.
static const int CLINUX_O_PATH = 010000000;

// The name of a system call, such as "execve"; NULL for one younger than the headers.
const char *_Nullable clinux_system_call_name(uint32_t number);

// Installs the handler of SIGSYS. It writes START[ROLE], the call, its first three arguments and END
// to standard error with one write(2), puts back what handled SIGSYS before and raises it again.
// ROLE is the data of the filter's answer. Texts that are too long are cut. Returns 0 or -1.
enum { CLINUX_ROLE_COUNT = 8 };
void clinux_describe_role(uint32_t role, const char *_Nonnull start);
int clinux_install_forbidden_call_handler(const char *_Nonnull end);
