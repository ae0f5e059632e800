// One conversation with the hypervisor: everything that is asked, and what came back.
#pragma once

#include "boot_zeroed.h"
#include "hypercall.h"
#include "interface.h"
#include "memory_map.h"

enum answer_stage {
  ANSWER_NO_HYPERVISOR,
  ANSWER_NO_HYPERV,
  ANSWER_NO_HYPERCALL_MSRS,
  ANSWER_NO_EXTENDED_HYPERCALLS,
  ANSWER_PAGE_NOT_ENABLED,
  ANSWER_QUERY_FAILED,
  ANSWER_NOT_CAPABLE,
  ANSWER_CALL_FAILED,
  ANSWER_MALFORMED,
  ANSWER_RANGES,
};

struct answer {
  // How far it went. Fields that belong to a later stage are zero.
  enum answer_stage stage;
  struct hypervisor_interface interface;
  struct hypercall_page page;
  EFI_STATUS page_status;
  UINT64 query_result, capabilities;
  UINT64 call_result;
  // Without ranges unless the stage is ANSWER_RANGES.
  struct zeroed_ranges zeroed;
};

// All the memory that asking takes. Allocated and written beforehand: a page that is taken from
// conventional memory later would be reported as zeroed and then be in use.
struct question {
  struct hypercall_page page;
  void *capabilities_output, *ranges_output;
};

EFI_STATUS prepare_question(struct question *question);

// Allocates nothing, prints nothing.
void ask(const struct question *question, struct answer *answer);

// In words, for people.
const CHAR16 *answer_description(enum answer_stage stage);

// Unsupported where there is no such interface, device error where it does not keep its word.
EFI_STATUS answer_status(enum answer_stage stage);
