// The firmware's memory map, taken without allocating anything.
#pragma once

#include <efi.h>

struct memory_map {
  UINT8 *descriptors;
  UINTN capacity, byte_count, descriptor_byte_count;
};

enum memory_kind {
  MEMORY_CONVENTIONAL,
  // In use by firmware or by this program.
  MEMORY_OTHER_RAM,
  // RAM that firmware keeps, or a device's: nothing says which, so it is not read.
  MEMORY_RESERVED,
  // Devices and whatever else may not be read.
  MEMORY_NOT_RAM,
};

// Allocates room for a map somewhat larger than the current one, and writes all of it.
EFI_STATUS reserve_memory_map(struct memory_map *map);

EFI_STATUS take_memory_map(struct memory_map *map);

UINTN descriptor_count(const struct memory_map *map);
const EFI_MEMORY_DESCRIPTOR *descriptor_at(const struct memory_map *map, UINTN index);

enum memory_kind memory_kind_of(const EFI_MEMORY_DESCRIPTOR *descriptor);
