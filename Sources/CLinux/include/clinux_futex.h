// futex(2) on a word of this process: what the C library has no function for.
#pragma once

#include <asm/unistd.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stdint.h>

long syscall(long number, ...);

// Sleeps while `*word == expected`, for `nanoseconds` at most, or without a limit where that is
// negative. Returns at once where the word differs; early where a signal arrives.
static inline void clinux_futex_wait(
    const uint32_t *_Nonnull word, uint32_t expected, int64_t nanoseconds) {
  // struct timespec is Glibc's; on x86-64 it is two of these.
  const int64_t limit[2] = {nanoseconds / 1000000000, nanoseconds % 1000000000};
  (void)syscall(
      __NR_futex, word, FUTEX_WAIT_PRIVATE, expected, nanoseconds < 0 ? NULL : limit, NULL, 0);
}

// Wakes `count` threads at most of those that sleep on the word.
static inline void clinux_futex_wake(const uint32_t *_Nonnull word, int count) {
  (void)syscall(__NR_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}
