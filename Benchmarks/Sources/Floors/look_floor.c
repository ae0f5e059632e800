#include "LookFloor.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

// linux/fs.h of Linux 6.7; Debian 12's has none of it.
struct region {
  uint64_t start, end, categories;
};
struct scan {
  uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
  uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN _IOWR('f', 16, struct scan)
#define IS_PRESENT (1 << 3)
#define PAGE_BYTES 4096
#define REGIONS 1024

static int is_zero(const uint8_t *page) {
  const uint64_t *word = (const uint64_t *)page;
  for (size_t i = 0; i < PAGE_BYTES / 8; i++) {
    if (word[i] != 0) return 0;
  }
  return 1;
}

int64_t look_floor(const uint8_t *memory, size_t byte_count) {
  static struct region regions[REGIONS];
  int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  uint64_t next = (uint64_t)memory, end = next + byte_count;
  int64_t count = 0;
  while (next < end) {
    struct scan scan = {
        .size = sizeof scan, .start = next, .end = end, .vec = (uint64_t)regions, .vec_len = REGIONS,
        .category_anyof_mask = IS_PRESENT, .return_mask = IS_PRESENT};
    int found = ioctl(file, SCAN, &scan);
    if (found < 0) {
      close(file);
      return -1;
    }
    for (int i = 0; i < found; i++) {
      for (uint64_t page = regions[i].start; page < regions[i].end; page += PAGE_BYTES) {
        count += !is_zero((const uint8_t *)page);
      }
    }
    next = scan.walk_end;
    if (found > 0 && regions[found - 1].end > next) next = regions[found - 1].end;
  }
  close(file);
  return count;
}
