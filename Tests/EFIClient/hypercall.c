#include "hypercall.h"

#define HV_X64_MSR_GUEST_OS_ID 0x40000000u
#define HV_X64_MSR_HYPERCALL 0x40000001u

// Bit 63: open source; no assigned OS type (bits 62-56); version 1 (bits 47-16).
#define THIS_OS_ID ((1ull << 63) | (1ull << 16))

#define HYPERCALL_ENABLE (1ull << 0)
#define HYPERCALL_LOCKED (1ull << 1)
// Bits 11-2 are to be preserved.
#define HYPERCALL_PRESERVED 0xffcull

static UINT64 read_msr(UINT32 number) {
  UINT32 low, high;
  __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
  return (UINT64)high << 32 | low;
}

static void write_msr(UINT32 number, UINT64 value) {
  __asm__ volatile("wrmsr"
                   :
                   : "c"(number), "a"((UINT32)value), "d"((UINT32)(value >> 32))
                   : "memory");
}

EFI_STATUS enable_hypercall_page(struct hypercall_page *page) {
  page->previous_os_id = read_msr(HV_X64_MSR_GUEST_OS_ID);
  page->previous_hypercall = read_msr(HV_X64_MSR_HYPERCALL);
  if (page->previous_hypercall & HYPERCALL_LOCKED) return EFI_ACCESS_DENIED;

  // First the OS: without one the hypervisor keeps the page disabled.
  write_msr(HV_X64_MSR_GUEST_OS_ID, THIS_OS_ID);
  const UINT64 wanted = (UINT64)(UINTN)page->code |
                        (page->previous_hypercall & HYPERCALL_PRESERVED) | HYPERCALL_ENABLE;
  write_msr(HV_X64_MSR_HYPERCALL, wanted);
  if (read_msr(HV_X64_MSR_HYPERCALL) == wanted) return EFI_SUCCESS;
  disable_hypercall_page(page);
  return EFI_DEVICE_ERROR;
}

void disable_hypercall_page(const struct hypercall_page *page) {
  // In this order: an OS identity of zero would disable the page by itself, but leave its number.
  write_msr(HV_X64_MSR_HYPERCALL, page->previous_hypercall);
  write_msr(HV_X64_MSR_GUEST_OS_ID, page->previous_os_id);
}

UINT64 call_hypervisor(const struct hypercall_page *page, UINT16 code, void *output) {
  // Every register that no ABI makes the callee keep is given up, although a simple call is to change
  // RAX alone: what the hypervisor puts into its page is its affair.
  register UINT64 output_gpa __asm__("r8") = (UINT64)(UINTN)output;
  UINT64 input_value = code, input_gpa = 0, result;
  __asm__ volatile("call *%[code]"
                   : "=a"(result), "+c"(input_value), "+d"(input_gpa), "+r"(output_gpa)
                   : [code] "b"(page->code)
                   : "r9", "r10", "r11", "rsi", "rdi", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
                     "xmm5", "cc", "memory");
  return result;
}

const CHAR16 *hypercall_status_name(UINT16 status) {
  switch (status) {
    case 0x00: return L"SUCCESS";
    case 0x02: return L"INVALID_HYPERCALL_CODE";
    case 0x03: return L"INVALID_HYPERCALL_INPUT";
    case 0x04: return L"INVALID_ALIGNMENT";
    case 0x05: return L"INVALID_PARAMETER";
    case 0x06: return L"ACCESS_DENIED";
    case 0x07: return L"INVALID_PARTITION_STATE";
    case 0x08: return L"OPERATION_DENIED";
    case 0x0b: return L"INSUFFICIENT_MEMORY";
    case 0x1d: return L"NO_RESOURCES";
    case 0x1e: return L"FEATURE_UNAVAILABLE";
    case 0x71: return L"OPERATION_FAILED";
    case 0x78: return L"TIME_OUT";
    default: return NULL;
  }
}
