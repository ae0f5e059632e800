// An NVMe disk, by polling: an admin queue and two I/O queues.
#pragma once

#include <stdint.h>

enum {
  // Bytes of one request, and of a log page's reply.
  request_size = 64 << 10,
  log_size = 512 << 10,
  // Requests in flight at most, and log pages.
  request_limit = 96,
  log_limit = 8,
};

struct disk_counts {
  uint32_t reads, writes, discards, zeroes, flushes, logs, resets;
};
extern struct disk_counts disk_counts;

// Finds the controller and enables it.
void disk_start(void);

// How often disk_start was called for this disk, this time included; it begins with 1, with data to read
// everywhere.
uint32_t disk_lives(void);

// Puts requests into the queues and rings, without waiting for them: reads to the next `target` addresses, with
// writes, flushes, discards and zeroes between them, and log pages.
void disk_submit(uint32_t requests, uint32_t logs, uint32_t *random);

// Waits for all of them, and checks what was read. Returns where the targets end that are surely written.
uint32_t disk_finish(void);

// Disables the controller with whatever is in flight, and enables it again.
void disk_reset(void);
