// Accesses to ports and addresses, most of which no device has.
#pragma once

#include <stdint.h>

// Reads `count` ports by one of the three widths, from the last one on, and writes to those of them that no
// device has. Returns where the next storm begins.
uint32_t storm_ports(uint32_t first, uint32_t count);

// Reads and writes in as many pages of no device.
uint32_t storm_memory(uint32_t first, uint32_t count);
