#include "disk.h"

#include "console.h"
#include "layout.h"
#include "machine.h"

enum { sector_size = 512, page_size = 4096, pages_per_request = request_size / page_size };
// The disk's first part has data, the second none; the last request's place is for disk_lives.
enum { data_requests = 768, free_requests = 128, lives_request = 1000 };
enum { admin_entries = 16, io_entries = 64, io_queues = 2 };
enum opcode { op_flush, op_write, op_read, op_write_zeroes = 8, op_manage = 9 };
enum admin_opcode { op_create_queue = 1, op_get_log = 2, op_create_completion_queue = 5 };

struct disk_counts disk_counts;

struct command {
  uint32_t opcode_and_id, namespace, reserved[4];
  uint32_t prp1, prp1_high, prp2, prp2_high;
  uint32_t words[6];
};

struct completion {
  uint32_t result, reserved, head, id_and_status;
};

struct queue {
  uint32_t number, count, tail, head, phase, in_flight;
  volatile struct command *commands;
  volatile struct completion *completions;
};

// What is in flight, by the command's identifier.
struct request {
  bool is_read;
  uint32_t place, target;
};

static __attribute__((aligned(4096))) struct command commands[1 + io_queues][64];
static __attribute__((aligned(4096))) struct completion completions[1 + io_queues][256];
static __attribute__((aligned(4096))) uint8_t source[request_size];
static __attribute__((aligned(4096))) uint32_t discard_range[1024];
// Lists of pages: each request has 16 entries, each log page 128.
static __attribute__((aligned(4096))) uint64_t request_lists[request_limit][pages_per_request];
static __attribute__((aligned(4096))) uint64_t log_lists[log_limit][log_size / page_size];
static __attribute__((aligned(4096))) uint8_t log_data[log_size];

static struct queue queues[1 + io_queues];
static struct request requests[request_limit];
static uint32_t registers;
static uint32_t next_target = target_start, next_place, touched_end = target_start;
// The first target of what was submitted last.
static uint32_t submitted_target;

static uint32_t read_configuration(uint32_t device, uint32_t offset) {
  out32(0xCF8, 0x80000000u | device << 11 | offset);
  return in32(0xCFC);
}

static void write_configuration(uint32_t device, uint32_t offset, uint32_t value) {
  out32(0xCF8, 0x80000000u | device << 11 | offset);
  out32(0xCFC, value);
}

static void find_controller(void) {
  for (uint32_t device = 0; device < 32; device++) {
    if (read_configuration(device, 8) >> 16 != 0x0108) continue;
    registers = read_configuration(device, 0x10) & ~15u;
    // Memory Space and Bus Master.
    write_configuration(device, 4, (read_configuration(device, 4) & 0xFFFF) | 6);
    return;
  }
  fail("no NVMe controller", 0);
}

// The next free entry of the queue, all zero but for its identifier.
static volatile struct command *next_command(struct queue *queue, uint32_t opcode, uint32_t id) {
  volatile struct command *command = &queue->commands[queue->tail];
  volatile uint32_t *words = (volatile uint32_t *)command;
  for (int i = 0; i < 16; i++) words[i] = 0;
  command->opcode_and_id = opcode | id << 16;
  queue->tail = (queue->tail + 1) % queue->count;
  queue->in_flight++;
  return command;
}

static void ring(struct queue *queue) {
  *word_at(registers + 0x1000 + 8 * queue->number) = queue->tail;
}

// Takes a completion, if there is one, and returns the identifier of its command, or -1.
static int32_t take(struct queue *queue) {
  volatile struct completion *completion = &queue->completions[queue->head];
  const uint32_t last = completion->id_and_status;
  if ((last >> 16 & 1) != queue->phase) return -1;
  queue->head++;
  if (queue->head == queue->count) {
    queue->head = 0;
    queue->phase ^= 1;
  }
  queue->in_flight--;
  *word_at(registers + 0x1004 + 8 * queue->number) = queue->head;
  if (last >> 17) fail("status of a command", last >> 17);
  return (int32_t)(last & 0xFFFF);
}

static void run_admin(struct queue *admin) {
  ring(admin);
  while (take(admin) < 0) pause_processor();
}

static void make_queue(uint32_t number, uint32_t count) {
  struct queue *queue = &queues[number];
  *queue = (struct queue){
      .number = number, .count = count, .phase = 1, .commands = commands[number],
      .completions = completions[number]};
  for (uint32_t i = 0; i < count; i++) queue->completions[i].id_and_status = 0;
}

static void enable(void) {
  make_queue(0, admin_entries);
  *word_at(registers + 0x24) = (admin_entries - 1) << 16 | (admin_entries - 1);
  *word_at(registers + 0x28) = (uint32_t)commands[0];
  *word_at(registers + 0x2C) = 0;
  *word_at(registers + 0x30) = (uint32_t)completions[0];
  *word_at(registers + 0x34) = 0;
  // Entries of 64 and 16 bytes, enable.
  *word_at(registers + 0x14) = 4 << 20 | 6 << 16 | 1;
  while (!(*word_at(registers + 0x1C) & 1)) pause_processor();
  for (uint32_t number = 1; number <= io_queues; number++) {
    make_queue(number, io_entries);
    volatile struct command *command = next_command(&queues[0], op_create_completion_queue, 0);
    command->prp1 = (uint32_t)completions[number];
    command->words[0] = (io_entries - 1) << 16 | number;
    command->words[1] = 1;
    run_admin(&queues[0]);
    command = next_command(&queues[0], op_create_queue, 0);
    command->prp1 = (uint32_t)commands[number];
    command->words[0] = (io_entries - 1) << 16 | number;
    command->words[1] = number << 16 | 1;
    run_admin(&queues[0]);
  }
}

// What a page of the disk has at its beginning and at its end.
static uint32_t tag(uint32_t place, uint32_t page) {
  return 0x5A000000 | (place * pages_per_request + page);
}

static void set_transfer(
    volatile struct command *command, uint64_t *list, uint32_t address, uint32_t place) {
  for (uint32_t page = 1; page < pages_per_request; page++)
    list[page - 1] = address + page * page_size;
  command->namespace = 1;
  command->prp1 = address;
  command->prp2 = (uint32_t)list;
  command->words[0] = place * (request_size / sector_size);
  command->words[2] = request_size / sector_size - 1;
}

// One request that is waited for, with `source`.
static void run_alone(uint32_t opcode, uint32_t place) {
  set_transfer(
      next_command(&queues[1], opcode, 0), request_lists[0], (uint32_t)source, place);
  ring(&queues[1]);
  while (take(&queues[1]) < 0) pause_processor();
}

static void fill_source(uint32_t place) {
  for (uint32_t page = 0; page < pages_per_request; page++) {
    *(uint32_t *)(source + page * page_size) = tag(place, page);
    *(uint32_t *)(source + (page + 1) * page_size - 4) = ~tag(place, page);
  }
}

void disk_start(void) {
  find_controller();
  enable();
}

uint32_t disk_lives(void) {
  uint32_t *const count = (uint32_t *)source;
  run_alone(op_read, lives_request);
  const uint32_t lives = *count + 1;
  if (lives == 1) {
    for (uint32_t place = 0; place < data_requests; place++) {
      fill_source(place);
      run_alone(op_write, place);
    }
  }
  *count = lives;
  run_alone(op_write, lives_request);
  return lives;
}

static void submit_one(struct queue *queue, uint32_t id, uint32_t *random) {
  *random = *random * 1664525 + 1013904223;
  const uint32_t kind = *random >> 28;
  struct request *request = &requests[id];
  *request = (struct request){0};
  volatile struct command *command;
  if (kind < 11) {
    request->is_read = true;
    request->place = next_place++ % data_requests;
    request->target = next_target;
    next_target += request_size;
    if (next_target == target_end) next_target = target_start;
    command = next_command(queue, op_read, id);
    set_transfer(command, request_lists[id], request->target, request->place);
    disk_counts.reads++;
    return;
  }
  const uint32_t place = data_requests + (*random >> 8) % free_requests;
  if (kind == 11) {
    next_command(queue, op_flush, id)->namespace = 1;
    disk_counts.flushes++;
  } else if (kind == 12) {
    discard_range[1] = request_size / sector_size;
    discard_range[2] = place * (request_size / sector_size);
    command = next_command(queue, op_manage, id);
    command->namespace = 1;
    command->prp1 = (uint32_t)discard_range;
    command->words[1] = 4;  // deallocate
    disk_counts.discards++;
  } else if (kind == 13) {
    command = next_command(queue, op_write_zeroes, id);
    set_transfer(command, request_lists[id], 0, place);
    command->prp1 = command->prp2 = 0;
    disk_counts.zeroes++;
  } else {
    command = next_command(queue, op_write, id);
    set_transfer(command, request_lists[id], (uint32_t)source, place);
    disk_counts.writes++;
  }
}

static void submit_log(uint32_t id) {
  static const uint8_t pages[] = {1, 2, 3, 5};
  volatile struct command *command = next_command(&queues[0], op_get_log, id);
  uint64_t *list = log_lists[id];
  for (uint32_t page = 1; page < log_size / page_size; page++)
    list[page - 1] = (uint32_t)log_data + page * page_size;
  const uint32_t words = log_size / 4 - 1;
  command->namespace = 0xFFFFFFFF;
  command->prp1 = (uint32_t)log_data;
  command->prp2 = (uint32_t)list;
  command->words[0] = words << 16 | pages[id % sizeof pages];
  command->words[1] = words >> 16;
  disk_counts.logs++;
}

void disk_submit(uint32_t count, uint32_t logs, uint32_t *random) {
  submitted_target = next_target;
  for (uint32_t id = 0; id < count; id++) submit_one(&queues[1 + id % io_queues], id, random);
  for (uint32_t id = 0; id < logs; id++) submit_log(id);
  for (uint32_t number = 0; number <= io_queues; number++) ring(&queues[number]);
}

static void check(const struct request *request) {
  if (!request->is_read) return;
  for (uint32_t page = 0; page < pages_per_request; page++) {
    const uint32_t address = request->target + page * page_size;
    const uint32_t expected = tag(request->place, page);
    if (*word_at(address) != expected || *word_at(address + page_size - 4) != ~expected)
      fail("wrong data from sector", request->place * (request_size / sector_size));
  }
  // All before it are in memory too when the round is over; once around, the whole area is touched.
  const uint32_t end = request->target + request_size;
  if (end > touched_end) touched_end = end;
}

uint32_t disk_finish(void) {
  for (uint32_t number = 0; number <= io_queues; number++) {
    struct queue *queue = &queues[number];
    while (queue->in_flight) {
      const int32_t id = take(queue);
      if (id < 0)
        pause_processor();
      else if (number)
        check(&requests[id]);
    }
  }
  return touched_end;
}

void disk_reset(void) {
  *word_at(registers + 0x14) = 0;
  while (*word_at(registers + 0x1C) & 1) pause_processor();
  // Reads that were dropped have left gaps, which the next ones fill.
  next_target = submitted_target;
  enable();
  disk_counts.resets++;
}
