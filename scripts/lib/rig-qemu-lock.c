/* Preloaded into the rig's QEMU: takes the lock that QEMU forgets.
 *
 * When a guest inside the rig writes CR8, QEMU's emulation of the instruction may raise a virtual
 * interrupt (cpu_interrupt) without the big lock, and QEMU ends itself by an assertion. Linux never
 * writes CR8; UEFI firmware does in each interrupt handler. Seen in QEMU 7.2, 10.0 and 11.1.
 *
 * The function is the executable's own, so no definition elsewhere can take its place. Its first bytes
 * become a jump to the one below, which does the same under the lock. The rig uses QEMU with TCG only,
 * whose handler is called here; QEMU's function finds it through the accelerator. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct CPUState CPUState;

static bool (*bql_locked)(void);
static void (*bql_lock)(const char *file, int line);
static void (*bql_unlock)(void);
static void (*tcg_handle_interrupt)(CPUState *cpu, int mask);

static void interrupt_under_lock(CPUState *cpu, int mask) {
  bool was_locked = bql_locked();
  if (!was_locked) bql_lock(__FILE__, __LINE__);
  tcg_handle_interrupt(cpu, mask);
  if (!was_locked) bql_unlock();
}

/* No lock, no QEMU: without it OVMF would end the rig in the middle of a test. */
static void fail(const char *what, const char *name) {
  fprintf(stderr, "rig-qemu-lock: %s: %s\n", name, what);
  _exit(125);
}

static void *function(const char *name) {
  void *address = dlsym(RTLD_DEFAULT, name);
  if (address == NULL) fail("this QEMU has no such symbol", name);
  return address;
}

/* endbr64; mov rax, TARGET; jmp rax */
static const uint8_t jump[] = {0xF3, 0x0F, 0x1E, 0xFA, 0x48, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xE0};
enum { jump_target = 6 };

static void replace(const char *name, void (*replacement)(CPUState *, int)) {
  uint8_t *code = function(name);
  Dl_info info;
  const ElfW(Sym) *symbol = NULL;
  if (dladdr1(code, &info, (void **)&symbol, RTLD_DL_SYMENT) == 0 || symbol == NULL ||
      symbol->st_size < sizeof jump)
    fail("too short to be replaced", name);
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uint8_t *start = (uint8_t *)((uintptr_t)code & ~(page - 1));
  size_t length = (size_t)(code + sizeof jump - start);
  if (mprotect(start, length, PROT_READ | PROT_WRITE) != 0) fail("cannot be made writable", name);
  memcpy(code, jump, sizeof jump);
  memcpy(code + jump_target, &replacement, sizeof replacement);
  if (mprotect(start, length, PROT_READ | PROT_EXEC) != 0) fail("cannot be made executable", name);
}

/* Before main, so no other thread runs. scripts/rig looks for the line: a library that cannot be
 * preloaded is only a warning for the loader. */
__attribute__((constructor)) static void put_in_place(void) {
  bql_locked = (bool (*)(void))function("bql_locked");
  bql_lock = (void (*)(const char *, int))function("bql_lock_impl");
  bql_unlock = (void (*)(void))function("bql_unlock");
  tcg_handle_interrupt = (void (*)(CPUState *, int))function("tcg_handle_interrupt");
  replace("cpu_interrupt", interrupt_under_lock);
  fputs("rig-qemu-lock: in place\n", stderr);
}
