#include "interface.h"

#include <cpuid.h>

#define HYPERVISOR_PRESENT (1u << 31)
#define FIRST_HYPERVISOR_LEAF 0x40000000u
#define INTERFACE_LEAF 0x40000001u
#define PRIVILEGES_LEAF 0x40000003u
#define HV_1 0x31237648u

struct hypervisor_interface find_hypervisor_interface(void) {
  struct hypervisor_interface found = {0};
  UINT32 eax, ebx, ecx, edx;
  __cpuid(1, eax, ebx, ecx, edx);
  // Without this bit the leaves from 0x40000000 on are a processor's, and mean nothing.
  found.is_present = (ecx & HYPERVISOR_PRESENT) != 0;
  if (!found.is_present) return found;

  __cpuid(FIRST_HYPERVISOR_LEAF, eax, ebx, ecx, edx);
  found.highest_leaf = eax;
  const UINT32 vendor[3] = {ebx, ecx, edx};
  for (UINTN i = 0; i < 12; i++) found.vendor[i] = (char)(vendor[i / 4] >> (i % 4 * 8));

  if (found.highest_leaf < INTERFACE_LEAF) return found;
  __cpuid(INTERFACE_LEAF, found.signature, ebx, ecx, edx);
  if (!is_hyperv(&found)) return found;
  __cpuid(PRIVILEGES_LEAF, found.privileges_low, found.privileges_high, ecx, edx);
  return found;
}

// Without Hv#1 leaf 0x40000003 is another interface's, and the synthetic MSRs fault.
BOOLEAN is_hyperv(const struct hypervisor_interface *interface) {
  return interface->highest_leaf >= PRIVILEGES_LEAF && interface->signature == HV_1;
}
