#include "storm.h"

#include "layout.h"
#include "machine.h"

// No device of a PC has a port from here on.
enum { first_free_port = 0x1000 };
// More pages than are counted apart.
enum { page_count = 6000 };

uint32_t storm_ports(uint32_t first, uint32_t count) {
  for (; count; count--) {
    const uint16_t port = (uint16_t)first++;
    switch (count % 3) {
      case 0: in8(port); break;
      case 1: in16(port); break;
      default: in32(port); break;
    }
    if (port >= first_free_port) out8(port, (uint8_t)count);
  }
  return first;
}

uint32_t storm_memory(uint32_t first, uint32_t count) {
  for (; count; count--) {
    volatile uint32_t *word = word_at(nothing_start + first++ % page_count * 4096);
    *word = count;
    (void)*word;
  }
  return first;
}
