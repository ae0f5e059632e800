#pragma once

#include <malloc.h>

// From now on every large buffer comes fresh from the kernel, as in a process that makes one VM. Without
// this the second VM of a process would find the heap of the first.
static inline void take_large_buffers_fresh(void) { mallopt(M_MMAP_THRESHOLD, 128 << 10); }
