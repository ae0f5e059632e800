// What a gate for writers takes from the machine: what a thread remembers of it, a barrier for the
// compiler alone, and membarrier(2) for the other side.
#pragma once

#include <asm/unistd.h>
#include <stdint.h>

// The gate this thread wrote through last, 0 for none, and its own cell there.
struct clinux_writer {
  uint64_t gate;
  void *_Nullable cell;
  // How many gates this thread is inside of without a cell, nested entries counted.
  uint64_t sharing;
};
extern _Thread_local struct clinux_writer clinux_writer_of_thread;
static inline struct clinux_writer *_Nonnull clinux_this_writer(void) {
  return &clinux_writer_of_thread;
}

// No access to memory moves across it at compile time; the processor is free.
static inline void clinux_compiler_barrier(void) { __asm__ volatile("" ::: "memory"); }

long syscall(long number, ...);

// MEMBARRIER_CMD_PRIVATE_EXPEDITED, and the command that registers the process for it; Linux 4.14.
enum { CLINUX_MEMBARRIER = 1 << 3, CLINUX_REGISTER_FOR_MEMBARRIER = 1 << 4 };
static inline int clinux_membarrier(void) {
  return (int)syscall(__NR_membarrier, CLINUX_MEMBARRIER, 0U, 0);
}
static inline int clinux_register_for_membarrier(void) {
  return (int)syscall(__NR_membarrier, CLINUX_REGISTER_FOR_MEMBARRIER, 0U, 0);
}
