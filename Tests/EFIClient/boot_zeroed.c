#include "boot_zeroed.h"

// x86-64 has at most 52 physical address bits.
#define HIGHEST_GPN_COUNT (1ull << (52 - 12))

static void insert_ascending(struct zeroed_ranges *zeroed, struct page_range range) {
  UINTN i = zeroed->count++;
  for (; i > 0 && zeroed->ranges[i - 1].start > range.start; i--) {
    zeroed->ranges[i] = zeroed->ranges[i - 1];
  }
  zeroed->ranges[i] = range;
}

static void merge_overlapping(struct zeroed_ranges *zeroed) {
  UINTN kept = 0;
  for (UINTN i = 0; i < zeroed->count; i++) {
    const struct page_range range = zeroed->ranges[i];
    if (kept > 0 && range.start <= zeroed->ranges[kept - 1].end) {
      if (range.end > zeroed->ranges[kept - 1].end) zeroed->ranges[kept - 1].end = range.end;
    } else {
      zeroed->ranges[kept++] = range;
    }
  }
  zeroed->count = kept;
}

BOOLEAN decode_boot_zeroed_memory(const void *output, struct zeroed_ranges *zeroed) {
  const UINT64 *reply = output;
  zeroed->count = 0;
  zeroed->empty_count = 0;
  zeroed->impossible_count = 0;
  zeroed->reply_range_count = reply[0];
  if (reply[0] > MAXIMUM_RANGE_COUNT) return FALSE;
  for (UINTN i = 0; i < reply[0]; i++) {
    const UINT64 start = reply[1 + 2 * i], page_count = reply[2 + 2 * i];
    if (page_count == 0) {
      zeroed->empty_count++;
    } else if (start >= HIGHEST_GPN_COUNT || page_count > HIGHEST_GPN_COUNT - start) {
      zeroed->impossible_count++;
    } else {
      insert_ascending(zeroed, (struct page_range){start, start + page_count});
    }
  }
  merge_overlapping(zeroed);
  return TRUE;
}

UINT64 zeroed_page_count(const struct zeroed_ranges *zeroed) {
  UINT64 page_count = 0;
  for (UINTN i = 0; i < zeroed->count; i++) {
    page_count += zeroed->ranges[i].end - zeroed->ranges[i].start;
  }
  return page_count;
}

UINT64 end_of_uniform_run(const struct zeroed_ranges *zeroed, UINT64 start, UINT64 end,
                          BOOLEAN *is_reported) {
  *is_reported = FALSE;
  for (UINTN i = 0; i < zeroed->count; i++) {
    const struct page_range range = zeroed->ranges[i];
    if (range.end <= start) continue;
    *is_reported = range.start <= start;
    const UINT64 border = *is_reported ? range.end : range.start;
    return border < end ? border : end;
  }
  return end;
}
