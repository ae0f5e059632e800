// Reads memory and compares it with what the hypervisor reported.
#pragma once

#include "boot_zeroed.h"
#include "memory_map.h"

#define SHOWN_FALSE_WORDS 8

struct false_word {
  UINT64 gpa, value;
};

struct page_counts {
  // Conventional memory. False: reported, yet not zero. Missed: zero, yet not reported.
  UINT64 conventional, truly_zero, reported, false_pages, missed;
  struct page_range largest_missed_run;
  // The first non-zero word of the first false pages; `false_pages` says how many are valid.
  struct false_word false_words[SHOWN_FALSE_WORDS];
  // Reported pages elsewhere: in RAM that is in use, and of these the non-zero ones; in reserved memory; in
  // memory of other kinds; in no descriptor.
  UINT64 reported_in_use, in_use_false, reported_reserved, reported_not_ram, reported_outside_map;
  UINT64 end_of_ram_gpn;
};

// Allocates nothing and calls nobody.
void check_pages(const struct memory_map *map, const struct zeroed_ranges *zeroed,
                 struct page_counts *counts);

// Reported pages that are zero per thousand pages that are zero, rounded down.
UINT64 share_permille(const struct page_counts *counts);
