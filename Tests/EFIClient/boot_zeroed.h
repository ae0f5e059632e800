// The output of HvExtCallGetBootZeroedMemory: a range count, then up to 255 pairs of start GPN and page
// count. (TLFS 6.0b has one pair, with an address; the current text has the list.)
#pragma once

#include <efi.h>

#define CAPABILITY_GET_BOOT_ZEROED_MEMORY (1ull << 0)

#define MAXIMUM_RANGE_COUNT 255

// GPNs; `end` is the first one behind the range.
struct page_range {
  UINT64 start, end;
};

struct zeroed_ranges {
  // Disjoint, ascending, not adjacent: the reply's ranges may overlap.
  struct page_range ranges[MAXIMUM_RANGE_COUNT];
  UINTN count;
  // As the reply has it: how many ranges, how many of these are empty, and how many reach behind the
  // largest physical address; both kinds are left out of `ranges`.
  UINT64 reply_range_count, empty_count, impossible_count;
};

// Fills `zeroed` from the output page. FALSE if the count does not fit the reply; there are no ranges
// then.
BOOLEAN decode_boot_zeroed_memory(const void *output, struct zeroed_ranges *zeroed);

// The number of pages in all ranges.
UINT64 zeroed_page_count(const struct zeroed_ranges *zeroed);

// Splits at range borders: the end of the longest run of pages from `start`, below `end`, that are all
// reported or all not reported.
UINT64 end_of_uniform_run(const struct zeroed_ranges *zeroed, UINT64 start, UINT64 end,
                          BOOLEAN *is_reported);
