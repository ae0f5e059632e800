// What CPUID says about a Hyper-V interface (TLFS, Feature and Interface Discovery).
#pragma once

#include <efi.h>

struct hypervisor_interface {
  BOOLEAN is_present;
  // Leaf 0x40000000.
  UINT32 highest_leaf;
  char vendor[13];
  // Leaf 0x40000001, EAX.
  UINT32 signature;
  // Leaf 0x40000003, EAX and EBX: the partition's privileges. Zero without "Hv#1".
  UINT32 privileges_low, privileges_high;
};

// Leaf 0x40000003: EAX bit 5, EBX bit 20.
#define ACCESS_HYPERCALL_MSRS (1u << 5)
#define ENABLE_EXTENDED_HYPERCALLS (1u << 20)

struct hypervisor_interface find_hypervisor_interface(void);

BOOLEAN is_hyperv(const struct hypervisor_interface *interface);
