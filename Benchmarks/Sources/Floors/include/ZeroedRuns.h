#pragma once

#include <stddef.h>
#include <stdint.h>

// The answer to 0x8002 in plain C: pages neither written nor touched, as runs, the largest ones.

struct reference_run {
  uint64_t start;
  uint64_t page_count;
};

// The `limit` largest runs of 0 bits in written OR touched, largest first, equal ones by address; one
// pass. `written` has a bit per page, `touched` a bit per 1 << page_shift pages (0 to 6).
// `runs` has room for `limit`. Returns how many there are.
size_t reference_largest_runs(const uint64_t *_Nonnull written, const uint64_t *_Nonnull touched,
                              size_t word_count, unsigned page_shift,
                              struct reference_run *_Nonnull runs, size_t limit);

// to |= from, as a source of written pages does.
void reference_or(uint64_t *_Nonnull to, const uint64_t *_Nonnull from, size_t word_count);
