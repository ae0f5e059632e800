// A guest that does at once what asks most of a sandboxed VMM: disk requests of all kinds and large log pages
// in flight, controllers that are disabled meanwhile, questions for zeroed memory, and storms of ports and of
// memory that no device has; from two processors, and through resets of the machine.
//
// Command line: rounds=N lives=N cpus=N, 1 or 2. Its last line is "stress: done", or says what went wrong.

#include <stddef.h>

#include "console.h"
#include "disk.h"
#include "hyperv.h"
#include "layout.h"
#include "machine.h"
#include "storm.h"

struct start_info {
  uint32_t magic, version, flags, module_count;
  uint64_t modules, command_line;
};

static __attribute__((aligned(4096))) uint8_t replies[2][4096];
static volatile bool other_is_running, is_over;
static volatile uint32_t touched_end = target_start, other_rounds;

void *memset(void *memory, int value, size_t count) {
  uint8_t *byte = memory;
  while (count--) *byte++ = (uint8_t)value;
  return memory;
}

// The number behind `name=` on the command line.
static uint32_t option(const char *line, const char *name, uint32_t usual) {
  for (; *line; line++) {
    const char *at = line, *want = name;
    while (*want && *at == *want) at++, want++;
    if (*want || *at++ != '=') continue;
    uint32_t value = 0;
    while (*at >= '0' && *at <= '9') value = value * 10 + (uint32_t)(*at++ - '0');
    return value;
  }
  return usual;
}

void other_main(void) {
  uint32_t port = 0x8000, page = 3000;
  other_is_running = true;
  while (!is_over) {
    port = storm_ports(port, 200);
    page = storm_memory(page, 50);
    hyperv_ask(replies[1], target_start, touched_end);
    other_rounds++;
  }
  other_is_running = false;
}

static void start_other(void) {
  extern char other_start[], other_start_end[];
  for (char *from = other_start, *to = (char *)other_page; from != other_start_end;) *to++ = *from++;
  // Local APIC: enabled; INIT, then start-up, to all others.
  volatile uint32_t *command = word_at(0xFEE00300);
  *word_at(0xFEE000F0) = 0x1FF;
  *command = 0xC4500;
  for (int i = 0; i < 1000; i++) in8(0x80);
  *command = 0xC4600 | other_page >> 12;
  while (!other_is_running) pause_processor();
}

static void print_count(const char *what, uint32_t count) {
  print(" ");
  print_number(count);
  print(what);
}

void first_main(const struct start_info *info) {
  const char *line = (const char *)(uint32_t)info->command_line;
  const uint32_t rounds = option(line, "rounds", 100), lives = option(line, "lives", 1);
  uint32_t random = 1, port = 0, page = 0;

  hyperv_start();
  disk_start();
  const uint32_t life = disk_lives();
  if (option(line, "cpus", 1) > 1) start_other();
  for (uint32_t round = 0; round < rounds; round++) {
    disk_submit(request_limit, log_limit, &random);
    hyperv_ask(replies[0], target_start, touched_end);
    port = storm_ports(port, 300);
    page = storm_memory(page, 50);
    hyperv_ask(replies[0], target_start, touched_end);
    if (round % 16 == 15)
      disk_reset();
    else
      touched_end = disk_finish();
  }
  print("stress: life");
  print_count(":", life);
  print_count(" rounds,", rounds);
  print_count(" of the other,", other_rounds);
  print_count(" reads,", disk_counts.reads);
  print_count(" writes,", disk_counts.writes);
  print_count(" discards,", disk_counts.discards);
  print_count(" zeroes,", disk_counts.zeroes);
  print_count(" flushes,", disk_counts.flushes);
  print_count(" logs,", disk_counts.logs);
  print_count(" resets\n", disk_counts.resets);
  if (life < lives) {
    // With requests in flight, and the other processor at work.
    disk_submit(request_limit, log_limit, &random);
    reset_machine();
  }
  is_over = true;
  while (other_is_running) pause_processor();
  print("stress: done\n");
  power_off();
}
