#pragma once

#include <stddef.h>
#include <stdint.h>

// Copies `source` to `count` places of `memory`, each `stride` bytes behind the last, and around.
void copy_floor(uint8_t *_Nonnull memory, size_t memory_byte_count, const uint8_t *_Nonnull source,
                size_t byte_count, size_t stride, size_t count);
