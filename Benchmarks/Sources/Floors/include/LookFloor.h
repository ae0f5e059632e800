#pragma once

#include <stddef.h>
#include <stdint.h>

// Looks at private memory with the least work: PAGEMAP_SCAN, then each populated page up to its first word that
// is not zero. Returns how many populated pages are not zero, or -1 if the kernel does not answer.
int64_t look_floor(const uint8_t *_Nonnull memory, size_t byte_count);
