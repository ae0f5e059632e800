#include "answer.h"

#include <efilib.h>

static EFI_STATUS allocate_page(EFI_MEMORY_TYPE type, void **page) {
  EFI_PHYSICAL_ADDRESS address;
  const EFI_STATUS status = BS->AllocatePages(AllocateAnyPages, type, 1, &address);
  if (EFI_ERROR(status)) return status;
  *page = (void *)(UINTN)address;
  // Also tells an output page that nobody wrote from one full of zeroes.
  SetMem(*page, EFI_PAGE_SIZE, 0xa5);
  return EFI_SUCCESS;
}

EFI_STATUS prepare_question(struct question *question) {
  EFI_STATUS status = allocate_page(EfiLoaderCode, &question->page.code);
  if (EFI_ERROR(status)) return status;
  status = allocate_page(EfiLoaderData, &question->capabilities_output);
  if (EFI_ERROR(status)) return status;
  return allocate_page(EfiLoaderData, &question->ranges_output);
}

static enum answer_stage ask_through_page(const struct question *question, struct answer *answer) {
  answer->query_result =
      call_hypervisor(&answer->page, CALL_QUERY_CAPABILITIES, question->capabilities_output);
  if (hypercall_status(answer->query_result) != 0) return ANSWER_QUERY_FAILED;
  answer->capabilities = *(const UINT64 *)question->capabilities_output;
  if (!(answer->capabilities & CAPABILITY_GET_BOOT_ZEROED_MEMORY)) return ANSWER_NOT_CAPABLE;

  answer->call_result =
      call_hypervisor(&answer->page, CALL_GET_BOOT_ZEROED_MEMORY, question->ranges_output);
  if (hypercall_status(answer->call_result) != 0) return ANSWER_CALL_FAILED;
  return decode_boot_zeroed_memory(question->ranges_output, &answer->zeroed) ? ANSWER_RANGES
                                                                             : ANSWER_MALFORMED;
}

static enum answer_stage ask_in_stages(const struct question *question, struct answer *answer) {
  answer->interface = find_hypervisor_interface();
  if (!answer->interface.is_present) return ANSWER_NO_HYPERVISOR;
  if (!is_hyperv(&answer->interface)) return ANSWER_NO_HYPERV;
  if (!(answer->interface.privileges_low & ACCESS_HYPERCALL_MSRS)) return ANSWER_NO_HYPERCALL_MSRS;
  if (!(answer->interface.privileges_high & ENABLE_EXTENDED_HYPERCALLS)) {
    return ANSWER_NO_EXTENDED_HYPERCALLS;
  }
  answer->page = question->page;
  answer->page_status = enable_hypercall_page(&answer->page);
  if (EFI_ERROR(answer->page_status)) return ANSWER_PAGE_NOT_ENABLED;
  const enum answer_stage stage = ask_through_page(question, answer);
  disable_hypercall_page(&answer->page);
  return stage;
}

void ask(const struct question *question, struct answer *answer) {
  answer->stage = ask_in_stages(question, answer);
}

const CHAR16 *answer_description(enum answer_stage stage) {
  switch (stage) {
    case ANSWER_NO_HYPERVISOR: return L"no hypervisor: CPUID.1:ECX bit 31 is clear";
    case ANSWER_NO_HYPERV: return L"no Hyper-V interface: CPUID 0x40000001 is not Hv#1";
    case ANSWER_NO_HYPERCALL_MSRS: return L"no privilege AccessHypercallMsrs (EAX bit 5)";
    case ANSWER_NO_EXTENDED_HYPERCALLS:
      return L"no privilege EnableExtendedHypercalls (EBX bit 20)";
    case ANSWER_PAGE_NOT_ENABLED: return L"the hypercall page cannot be enabled";
    case ANSWER_QUERY_FAILED: return L"HvExtCallQueryCapabilities failed";
    case ANSWER_NOT_CAPABLE: return L"capability bit 0, GetBootZeroedMemory, is clear";
    case ANSWER_CALL_FAILED: return L"HvExtCallGetBootZeroedMemory failed";
    case ANSWER_MALFORMED: return L"HvExtCallGetBootZeroedMemory gave a count above 255";
    case ANSWER_RANGES: return L"HvExtCallGetBootZeroedMemory gave ranges";
  }
  return L"";
}

EFI_STATUS answer_status(enum answer_stage stage) {
  switch (stage) {
    case ANSWER_RANGES: return EFI_SUCCESS;
    case ANSWER_PAGE_NOT_ENABLED:
    case ANSWER_QUERY_FAILED:
    case ANSWER_CALL_FAILED:
    case ANSWER_MALFORMED: return EFI_DEVICE_ERROR;
    default: return EFI_UNSUPPORTED;
  }
}
