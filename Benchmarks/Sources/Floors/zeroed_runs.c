#include "ZeroedRuns.h"

#include <stdlib.h>

struct heap {
  struct reference_run *runs;
  size_t count, limit;
};

static inline int is_worse(struct reference_run left, struct reference_run right) {
  return left.page_count != right.page_count ? left.page_count < right.page_count
                                             : left.start > right.start;
}

// The root is the worst run. Runs come in ascending order: an equal one later is worse.
static void heap_insert(struct heap *heap, struct reference_run run) {
  struct reference_run *runs = heap->runs;
  if (heap->count < heap->limit) {
    size_t child = heap->count++;
    while (child > 0 && is_worse(run, runs[(child - 1) / 2])) {
      runs[child] = runs[(child - 1) / 2];
      child = (child - 1) / 2;
    }
    runs[child] = run;
    return;
  }
  size_t parent = 0;
  for (;;) {
    size_t child = parent * 2 + 1;
    if (child >= heap->count) break;
    if (child + 1 < heap->count && is_worse(runs[child + 1], runs[child])) child++;
    if (!is_worse(runs[child], run)) break;
    runs[parent] = runs[child];
    parent = child;
  }
  runs[parent] = run;
}

static inline void offer(struct heap *heap, uint64_t start, uint64_t end) {
  if (heap->count == heap->limit && end - start <= heap->runs[0].page_count) return;
  heap_insert(heap, (struct reference_run){start, end - start});
}

// Each bit of a group of 64 >> shift chunks as 1 << shift bits.
static inline uint64_t widened(uint64_t touched, size_t group, unsigned shift) {
  if (shift == 0) return touched;
  uint64_t bits = 0, chunk = shift == 6 ? ~0ull : (1ull << (1u << shift)) - 1;
  unsigned chunks = 64u >> shift;
  touched >>= group * chunks;
  for (unsigned i = 0; i < chunks; i++)
    if (touched >> i & 1) bits |= chunk << (i << shift);
  return bits;
}

#define NO_RUN UINT64_MAX

static inline __attribute__((always_inline)) void scan(const uint64_t *written,
                                                       const uint64_t *touched, size_t word_count,
                                                       unsigned shift, struct heap *heap) {
  uint64_t open = NO_RUN;
  for (size_t i = 0; i < word_count; i++) {
    uint64_t map = touched[i >> shift];
    if (map != 0) map = widened(map, i & ((1u << shift) - 1), shift);
    uint64_t zeroed = ~(written[i] | map), page = (uint64_t)i * 64;
    if (zeroed == ~0ull) {
      if (open == NO_RUN) open = page;
      continue;
    }
    if (zeroed == 0) {
      if (open != NO_RUN) offer(heap, open, page);
      open = NO_RUN;
      continue;
    }
    unsigned position = 0;
    while (position < 64) {
      uint64_t rest = zeroed >> position;
      if (open == NO_RUN) {
        if (rest == 0) break;
        position += __builtin_ctzll(rest);
        open = page + position;
      } else {
        // Not all ones from here on, unless the run goes on in the next word.
        uint64_t inverse = ~rest & (~0ull >> position);
        if (inverse == 0) break;
        position += __builtin_ctzll(inverse);
        offer(heap, open, page + position);
        open = NO_RUN;
      }
    }
  }
  if (open != NO_RUN) offer(heap, open, (uint64_t)word_count * 64);
}

static int best_first(const void *left, const void *right) {
  return is_worse(*(const struct reference_run *)left, *(const struct reference_run *)right) ? 1
                                                                                              : -1;
}

size_t reference_largest_runs(const uint64_t *written, const uint64_t *touched, size_t word_count,
                              unsigned page_shift, struct reference_run *runs, size_t limit) {
  struct heap heap = {runs, 0, limit};
  // A constant shift for each of the two cases measured.
  if (page_shift == 0)
    scan(written, touched, word_count, 0, &heap);
  else if (page_shift == 4)
    scan(written, touched, word_count, 4, &heap);
  else
    scan(written, touched, word_count, page_shift, &heap);
  qsort(runs, heap.count, sizeof *runs, best_first);
  return heap.count;
}

void reference_or(uint64_t *to, const uint64_t *from, size_t word_count) {
  for (size_t i = 0; i < word_count; i++) to[i] |= from[i];
}
