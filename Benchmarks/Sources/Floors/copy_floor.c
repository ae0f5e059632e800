#include "CopyFloor.h"

#include <string.h>

void copy_floor(uint8_t *memory, size_t memory_byte_count, const uint8_t *source, size_t byte_count,
                size_t stride, size_t count) {
  size_t offset = 0;
  for (size_t i = 0; i < count; i++) {
    memcpy(memory + offset, source, byte_count);
    offset += stride;
    if (offset + byte_count > memory_byte_count) offset = 0;
  }
}
