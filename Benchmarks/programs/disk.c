// Reads and writes a disk past the page cache, and tells the time of each access.
//
//   disk DEVICE
//
// For every pattern and round one line, "disk PATTERN: CYCLES", cycles of the time-stamp counter per access:
// guests of different VMMs get their clocks from different places, but all of them have this counter. Each
// access is a system call that waits; `jobs` processes make as many at once.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

// Many short rounds: their median is what a loaded machine leaves alone. The first warms up and is not told.
enum { ROUNDS = 16 };

struct pattern {
  const char *name;
  size_t byte_count;
  int is_random, writes, jobs, count;
};

static const struct pattern patterns[] = {
    {"4 KiB random read", 4096, 1, 0, 1, 64},
    {"4 KiB random write", 4096, 1, 1, 1, 64},
    {"4 KiB random read, 8 at once", 4096, 1, 0, 8, 16},
    {"4 KiB random write, 8 at once", 4096, 1, 1, 8, 16},
    {"1 MiB sequential read", 1 << 20, 0, 0, 1, 12},
    {"1 MiB sequential write", 1 << 20, 0, 1, 1, 12},
};

static int fail(const char *what) {
  perror(what);
  return 1;
}

// The accesses of one process.
static int run(const char *device, const struct pattern *pattern, int job) {
  int disk = open(device, O_RDWR | O_DIRECT);
  if (disk < 0) return fail(device);
  off_t places = lseek(disk, 0, SEEK_END) / pattern->byte_count;
  void *buffer;
  if (places < 1 || posix_memalign(&buffer, 4096, pattern->byte_count) != 0) return fail("buffer");
  uint64_t random = 0x9E3779B97F4A7C15 * (job + 1);
  for (int i = 0; i < pattern->count; i++) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    off_t place = (pattern->is_random ? (off_t)(random >> 1) : i) % places;
    off_t offset = place * pattern->byte_count;
    ssize_t done = pattern->writes ? pwrite(disk, buffer, pattern->byte_count, offset)
                                   : pread(disk, buffer, pattern->byte_count, offset);
    if (done != (ssize_t)pattern->byte_count) return fail("access");
  }
  return 0;
}

static int measure(const char *device, const struct pattern *pattern, int is_told) {
  uint64_t from = __rdtsc();
  for (int job = 0; job < pattern->jobs; job++)
    if (fork() == 0) _exit(run(device, pattern, job));
  int status, failed = 0;
  while (wait(&status) > 0) failed |= status;
  if (is_told)
    printf("disk %s: %.0f\n", pattern->name,
           (double)(__rdtsc() - from) / (pattern->count * pattern->jobs));
  return failed;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc != 2) return 2;
  for (int round = 0; round < ROUNDS; round++)
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
      if (measure(argv[1], &patterns[i], round > 0) != 0) return fail("disk");
  return 0;
}
