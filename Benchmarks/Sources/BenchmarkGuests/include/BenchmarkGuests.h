#pragma once

#include <stddef.h>

#include "exits_interface.h"
#include "writer_interface.h"

extern const unsigned char guest_writer_start[];
extern const unsigned char guest_writer_end[];
extern const unsigned char guest_exits_start[];
extern const unsigned char guest_exits_end[];

static inline const unsigned char *_Nonnull guest_writer_bytes(void) { return guest_writer_start; }
static inline size_t guest_writer_byte_count(void) {
  return (size_t)(guest_writer_end - guest_writer_start);
}
static inline const unsigned char *_Nonnull guest_exits_bytes(void) { return guest_exits_start; }
static inline size_t guest_exits_byte_count(void) {
  return (size_t)(guest_exits_end - guest_exits_start);
}
