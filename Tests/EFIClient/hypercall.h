// The hypercall page and calls through it.
#pragma once

#include <efi.h>

struct hypercall_page {
  // One page of type EfiLoaderCode.
  void *code;
  // What the MSRs held before, and hold again afterwards.
  UINT64 previous_os_id, previous_hypercall;
};

// Names an OS and has the hypervisor put its code into the page. Only where CPUID grants
// AccessHypercallMsrs: WRMSR faults elsewhere. EFI_ACCESS_DENIED if the MSR is locked already,
// EFI_DEVICE_ERROR if the hypervisor leaves the page disabled.
EFI_STATUS enable_hypercall_page(struct hypercall_page *page);

// A later OS finds the MSRs as this program did; after a reset that is zero.
void disable_hypercall_page(const struct hypercall_page *page);

#define CALL_QUERY_CAPABILITIES 0x8001u
#define CALL_GET_BOOT_ZEROED_MEMORY 0x8002u

// A simple call without input. `output` is page aligned. The result value: the status is in its low 16
// bits, which hypercall_status takes out.
UINT64 call_hypervisor(const struct hypercall_page *page, UINT16 code, void *output);

static inline UINT16 hypercall_status(UINT64 result) { return (UINT16)result; }

// The TLFS name of a status, or NULL.
const CHAR16 *hypercall_status_name(UINT16 status);
