#include "report.h"

#include <efilib.h>

// Terminals of firmware wrap at column 80, and a wrapped line is no line any more.

struct figure {
  const CHAR16 *title, *name;
  UINT64 value;
};

static BOOLEAN did_call(const struct answer *answer, UINT16 code) {
  if (code == CALL_QUERY_CAPABILITIES) return answer->stage >= ANSWER_QUERY_FAILED;
  return answer->stage >= ANSWER_CALL_FAILED;
}

static void print_result(const struct answer *answer, UINT16 code, UINT64 result) {
  if (!did_call(answer, code)) return;
  const UINT16 status = hypercall_status(result);
  const CHAR16 *name = hypercall_status_name(status);
  Print(L"  call 0x%04x: result 0x%lx, status 0x%04x %s\n", code, result, status,
        name ? name : L"(unknown)");
}

static void print_conversation(const struct answer *answer) {
  const struct hypervisor_interface *interface = &answer->interface;
  if (interface->is_present) {
    Print(L"  hypervisor \"%a\", highest leaf 0x%x, interface 0x%x\n", interface->vendor,
          interface->highest_leaf, interface->signature);
  }
  if (is_hyperv(interface)) {
    Print(L"  privileges 0x%x (EAX), 0x%x (EBX)\n", interface->privileges_low,
          interface->privileges_high);
  }
  if (answer->stage == ANSWER_PAGE_NOT_ENABLED) {
    Print(L"  hypercall page: %r\n", answer->page_status);
  }
  print_result(answer, CALL_QUERY_CAPABILITIES, answer->query_result);
  print_result(answer, CALL_GET_BOOT_ZEROED_MEMORY, answer->call_result);
  Print(L"  %s\n\n", answer_description(answer->stage));
}

static void print_results_for_programs(const struct answer *answer) {
  if (did_call(answer, CALL_QUERY_CAPABILITIES)) {
    Print(L"@ result 0x8001 0x%04x\n", hypercall_status(answer->query_result));
    Print(L"@ capabilities 0x%lx\n", answer->capabilities);
  }
  if (did_call(answer, CALL_GET_BOOT_ZEROED_MEMORY)) {
    Print(L"@ result 0x8002 0x%04x\n", hypercall_status(answer->call_result));
  }
}

static void print_false_words(const struct page_counts *counts) {
  for (UINTN i = 0; i < counts->false_pages && i < SHOWN_FALSE_WORDS; i++) {
    Print(L"@ false-word 0x%lx 0x%lx\n", counts->false_words[i].gpa, counts->false_words[i].value);
  }
}

static void print_missed_run(const struct page_counts *counts) {
  const struct page_range run = counts->largest_missed_run;
  if (run.end == run.start) return;
  Print(L"@ largest-missed-run 0x%lx %lu\n", run.start << EFI_PAGE_SHIFT, run.end - run.start);
}

void print_report(const struct answer *answer, const struct page_counts *counts) {
  const struct figure figures[] = {
      {L"ranges in the reply", L"ranges", answer->zeroed.reply_range_count},
      {L"  of these empty", L"empty-ranges", answer->zeroed.empty_count},
      {L"  of these beyond any address", L"impossible-ranges", answer->zeroed.impossible_count},
      {L"pages in them, each once", L"reported-pages", zeroed_page_count(&answer->zeroed)},
      {L"conventional pages", L"conventional-pages", counts->conventional},
      {L"  truly zero", L"truly-zero-pages", counts->truly_zero},
      {L"  reported", L"reported-conventional-pages", counts->reported},
      {L"  reported and zero", L"reported-zero-pages", counts->reported - counts->false_pages},
      {L"  zero but not reported", L"missed-pages", counts->missed},
      {L"  share of the zero ones, per mille", L"share-permille", share_permille(counts)},
      {L"  reported but not zero: false", L"false-pages", counts->false_pages},
      {L"reported pages of RAM in use", L"in-use-pages", counts->reported_in_use},
      {L"  not zero (any more)", L"in-use-false-pages", counts->in_use_false},
      {L"reported pages of reserved memory", L"reserved-pages", counts->reported_reserved},
      {L"reported pages that are not RAM", L"not-ram-pages", counts->reported_not_ram},
      {L"reported pages outside the map", L"outside-map-pages", counts->reported_outside_map},
  };
  const UINTN figure_count = sizeof figures / sizeof figures[0];

  print_conversation(answer);
  for (UINTN i = 0; i < figure_count; i++) {
    Print(L"%12lu  %s\n", figures[i].value, figures[i].title);
  }
  Print(L"\n@ hyperv %s\n", is_hyperv(&answer->interface) ? L"yes" : L"no");
  print_results_for_programs(answer);
  for (UINTN i = 0; i < figure_count; i++) {
    Print(L"@ %s %lu\n", figures[i].name, figures[i].value);
  }
  Print(L"@ end-of-ram 0x%lx\n", counts->end_of_ram_gpn << EFI_PAGE_SHIFT);
  print_missed_run(counts);
  print_false_words(counts);
}

void print_outcome(EFI_STATUS outcome) {
  Print(L"@ outcome %r\n", outcome);
  Print(L"@ done\n");
}
