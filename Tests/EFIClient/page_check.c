#include "page_check.h"

#define WORDS_PER_PAGE 512
#define WORDS_PER_LINE 8

// Zero if the whole page is; otherwise finds its first other word.
static BOOLEAN is_zero_page(UINT64 gpn, struct false_word *found) {
  // Boot services run identity mapped.
  const UINT64 *words = (const UINT64 *)(UINTN)(gpn << EFI_PAGE_SHIFT);
  for (UINTN i = 0; i < WORDS_PER_PAGE; i += WORDS_PER_LINE) {
    const UINT64 *line = words + i;
    if ((line[0] | line[1] | line[2] | line[3] | line[4] | line[5] | line[6] | line[7]) == 0) {
      continue;
    }
    while (words[i] == 0) i++;
    found->gpa = (UINT64)(UINTN)(words + i);
    found->value = words[i];
    return FALSE;
  }
  return TRUE;
}

static void check_reported(UINT64 start, UINT64 end, struct page_counts *counts) {
  struct false_word found;
  counts->reported += end - start;
  for (UINT64 gpn = start; gpn < end; gpn++) {
    if (is_zero_page(gpn, &found)) {
      counts->truly_zero++;
    } else {
      if (counts->false_pages < SHOWN_FALSE_WORDS) {
        counts->false_words[counts->false_pages] = found;
      }
      counts->false_pages++;
    }
  }
}

static void check_unreported(UINT64 start, UINT64 end, struct page_counts *counts) {
  struct false_word found;
  struct page_range *largest = &counts->largest_missed_run;
  UINT64 run_start = start;
  for (UINT64 gpn = start; gpn < end; gpn++) {
    if (is_zero_page(gpn, &found)) {
      counts->truly_zero++;
      counts->missed++;
      if (gpn + 1 - run_start > largest->end - largest->start) {
        *largest = (struct page_range){run_start, gpn + 1};
      }
    } else {
      run_start = gpn + 1;
    }
  }
}

static void check_in_use(UINT64 start, UINT64 end, struct page_counts *counts) {
  struct false_word found;
  counts->reported_in_use += end - start;
  for (UINT64 gpn = start; gpn < end; gpn++) {
    if (!is_zero_page(gpn, &found)) counts->in_use_false++;
  }
}

static void check_run(enum memory_kind kind, BOOLEAN is_reported, UINT64 start, UINT64 end,
                      struct page_counts *counts) {
  if (kind == MEMORY_CONVENTIONAL) {
    counts->conventional += end - start;
    if (is_reported) {
      check_reported(start, end, counts);
    } else {
      check_unreported(start, end, counts);
    }
  } else if (is_reported && kind == MEMORY_OTHER_RAM) {
    check_in_use(start, end, counts);
  } else if (is_reported && kind == MEMORY_RESERVED) {
    counts->reported_reserved += end - start;
  } else if (is_reported) {
    counts->reported_not_ram += end - start;
  }
}

static BOOLEAN is_ram(enum memory_kind kind) {
  return kind == MEMORY_CONVENTIONAL || kind == MEMORY_OTHER_RAM;
}

void check_pages(const struct memory_map *map, const struct zeroed_ranges *zeroed,
                 struct page_counts *counts) {
  UINT64 reported_in_map = 0;
  for (UINTN i = 0; i < descriptor_count(map); i++) {
    const EFI_MEMORY_DESCRIPTOR *descriptor = descriptor_at(map, i);
    const enum memory_kind kind = memory_kind_of(descriptor);
    UINT64 gpn = descriptor->PhysicalStart >> EFI_PAGE_SHIFT;
    const UINT64 end = gpn + descriptor->NumberOfPages;
    if (is_ram(kind) && end > counts->end_of_ram_gpn) counts->end_of_ram_gpn = end;
    while (gpn < end) {
      BOOLEAN is_reported;
      const UINT64 run_end = end_of_uniform_run(zeroed, gpn, end, &is_reported);
      if (is_reported) reported_in_map += run_end - gpn;
      // Page 0 counts nowhere: firmware may have unmapped it to catch null pointers.
      check_run(kind, is_reported, gpn == 0 ? 1 : gpn, run_end, counts);
      gpn = run_end;
    }
  }
  counts->reported_outside_map = zeroed_page_count(zeroed) - reported_in_map;
}

UINT64 share_permille(const struct page_counts *counts) {
  if (counts->truly_zero == 0) return 0;
  return (counts->reported - counts->false_pages) * 1000 / counts->truly_zero;
}
