#include "memory_map.h"

#include <efilib.h>

// Drivers may allocate between the two questions, and each allocation splits a descriptor.
#define SPARE_BYTE_COUNT (64 * 1024)

EFI_STATUS reserve_memory_map(struct memory_map *map) {
  UINTN key;
  UINT32 version;
  map->byte_count = 0;
  EFI_STATUS status = BS->GetMemoryMap(&map->byte_count, NULL, &key, &map->descriptor_byte_count,
                                       &version);
  if (status != EFI_BUFFER_TOO_SMALL) return EFI_ERROR(status) ? status : EFI_DEVICE_ERROR;
  map->capacity = map->byte_count + SPARE_BYTE_COUNT;
  status = BS->AllocatePool(EfiLoaderData, map->capacity, (void **)&map->descriptors);
  if (EFI_ERROR(status)) return status;
  // Written before the hypervisor is asked, so that it is rightly not reported as zeroed.
  SetMem(map->descriptors, map->capacity, 0xa5);
  return EFI_SUCCESS;
}

EFI_STATUS take_memory_map(struct memory_map *map) {
  UINTN key;
  UINT32 version;
  map->byte_count = map->capacity;
  return BS->GetMemoryMap(&map->byte_count, (EFI_MEMORY_DESCRIPTOR *)map->descriptors, &key,
                          &map->descriptor_byte_count, &version);
}

UINTN descriptor_count(const struct memory_map *map) {
  return map->byte_count / map->descriptor_byte_count;
}

// Descriptors are further apart than the size of their type here, by design.
const EFI_MEMORY_DESCRIPTOR *descriptor_at(const struct memory_map *map, UINTN index) {
  return (const EFI_MEMORY_DESCRIPTOR *)(map->descriptors + index * map->descriptor_byte_count);
}

enum memory_kind memory_kind_of(const EFI_MEMORY_DESCRIPTOR *descriptor) {
  switch (descriptor->Type) {
    case EfiConventionalMemory: return MEMORY_CONVENTIONAL;
    case EfiLoaderCode:
    case EfiLoaderData:
    case EfiBootServicesCode:
    case EfiBootServicesData:
    case EfiRuntimeServicesCode:
    case EfiRuntimeServicesData:
    case EfiACPIReclaimMemory:
    case EfiACPIMemoryNVS: return MEMORY_OTHER_RAM;
    case EfiReservedMemoryType: return MEMORY_RESERVED;
    default: return MEMORY_NOT_RAM;
  }
}
