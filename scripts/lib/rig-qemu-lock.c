/* Preloaded into the rig's QEMU: takes the lock that QEMU 7.2 forgets.
 *
 * When a guest inside the rig writes CR8 while a virtual interrupt is pending, QEMU's emulation of the
 * instruction raises an interrupt without the big lock, and the accelerator ends the process by an
 * assertion (tcg_handle_interrupt). Linux never writes CR8; UEFI firmware does in each interrupt handler.
 *
 * The accelerator is a module, and a module's symbols may be defined before it: this definition of the
 * function is used, takes the lock if it is not held, and calls the module's own. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct CPUState CPUState;
typedef void InterruptHandler(CPUState *cpu, int mask);

/* The executable's. */
extern bool qemu_mutex_iothread_locked(void);
extern void qemu_mutex_lock_iothread_impl(const char *file, int line);
extern void qemu_mutex_unlock_iothread(void);

static int find_module(struct dl_phdr_info *info, size_t size, void *data) {
  (void)size;
  if (info->dlpi_name == NULL || strstr(info->dlpi_name, "/accel-tcg-") == NULL) return 0;
  *(void **)data = dlopen(info->dlpi_name, RTLD_NOW | RTLD_NOLOAD);
  return 1;
}

static InterruptHandler *module_handler(void) {
  static InterruptHandler *handler;
  if (handler == NULL) {
    void *module = NULL;
    dl_iterate_phdr(find_module, &module);
    if (module != NULL) handler = (InterruptHandler *)dlsym(module, "tcg_handle_interrupt");
    if (handler == NULL) abort();
  }
  return handler;
}

void tcg_handle_interrupt(CPUState *cpu, int mask) {
  bool was_locked = qemu_mutex_iothread_locked();
  if (!was_locked) qemu_mutex_lock_iothread_impl(__FILE__, __LINE__);
  module_handler()(cpu, mask);
  if (!was_locked) qemu_mutex_unlock_iothread();
}
