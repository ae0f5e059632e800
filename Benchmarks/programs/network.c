// What a guest's network costs: a stream each way and round trips over one TCP connection, and the processor time that
// the monitor spends on each.
//
//   network serve PORT PROCESS-FILE NAME   far end, on the host; PROCESS-FILE has the monitor's number
//   network use ADDRESS PORT MIB TRIPS     in the guest
//
// The server prints a line for each part: NAME, the part, its amount (MiB, or round trips), then nanoseconds: on the
// clock, of the monitor's vCPU threads, of them in the guest, of its other threads; then exits of the guest, and how
// often the other threads slept.
//
// A thread that has run a guest is a vCPU's. Time in the guest is counted by the kernel's ticks, the rest exactly.
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TRIP_BYTES = 64, BUFFER_BYTES = 64 * 1024 };

struct command {
  char part[8];
  unsigned long amount;
};

struct usage {
  unsigned long long clock, vcpus, guest, others, exits, sleeps;
};

static char buffer[BUFFER_BYTES];

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void send_all(int socket, unsigned long count) {
  while (count > 0) {
    ssize_t sent = write(socket, buffer, count < BUFFER_BYTES ? count : BUFFER_BYTES);
    if (sent <= 0) fail("write");
    count -= sent;
  }
}

static void receive_all(int socket, unsigned long count) {
  while (count > 0) {
    ssize_t received = read(socket, buffer, count < BUFFER_BYTES ? count : BUFFER_BYTES);
    if (received <= 0) fail("read");
    count -= received;
  }
}

// The client's part, or the server's, which is the other way around.
static void run(int socket, const struct command *command, int is_client) {
  if (strcmp(command->part, "trips") == 0) {
    for (unsigned long trip = 0; trip < command->amount; trip++) {
      if (is_client) send_all(socket, TRIP_BYTES);
      receive_all(socket, TRIP_BYTES);
      if (!is_client) send_all(socket, TRIP_BYTES);
    }
    return;
  }
  // Whoever has everything says so.
  int sends = (strcmp(command->part, "send") == 0) == is_client;
  if (sends) {
    send_all(socket, command->amount << 20);
    receive_all(socket, 1);
  } else {
    receive_all(socket, command->amount << 20);
    send_all(socket, 1);
  }
}

static unsigned long long number_in(const char *path, const char *field) {
  char line[256];
  unsigned long long number = 0;
  FILE *file = fopen(path, "r");
  if (!file) return 0;
  while (fgets(line, sizeof line, file))
    if (strncmp(line, field, strlen(field)) == 0) {
      number = strtoull(line + strlen(field), NULL, 10);
      break;
    }
  fclose(file);
  return number;
}

// The 43rd word, behind the name in brackets: ticks that a thread was in the guest.
static unsigned long long guest_ticks(const char *path) {
  char text[1024];
  FILE *file = fopen(path, "r");
  if (!file) return 0;
  size_t count = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[count] = 0;
  char *word = strrchr(text, ')');
  for (int index = 2; word && index < 43; index++) word = strchr(word + 1, ' ');
  return word ? strtoull(word, NULL, 10) : 0;
}

static unsigned long long count_exits(void) {
  char path[512];
  unsigned long long exits = 0;
  DIR *machines = opendir("/sys/kernel/debug/kvm");
  struct dirent *entry;
  while (machines && (entry = readdir(machines))) {
    // Directories of machines are PROCESS-DESCRIPTOR.
    if (!strchr(entry->d_name, '-')) continue;
    snprintf(path, sizeof path, "/sys/kernel/debug/kvm/%s/exits", entry->d_name);
    exits += number_in(path, "");
  }
  if (machines) closedir(machines);
  return exits;
}

static struct usage measure(const char *process_file) {
  char directory[64], path[512];
  struct usage usage = {0};
  snprintf(directory, sizeof directory, "/proc/%llu/task", number_in(process_file, ""));
  DIR *threads = opendir(directory);
  if (!threads) fail(directory);
  struct dirent *entry;
  while ((entry = readdir(threads))) {
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/%s/stat", directory, entry->d_name);
    unsigned long long guest = guest_ticks(path) * (1000000000ull / sysconf(_SC_CLK_TCK));
    snprintf(path, sizeof path, "%s/%s/schedstat", directory, entry->d_name);
    *(guest > 0 ? &usage.vcpus : &usage.others) += number_in(path, "");
    usage.guest += guest;
    snprintf(path, sizeof path, "%s/%s/status", directory, entry->d_name);
    if (guest == 0) usage.sleeps += number_in(path, "voluntary_ctxt_switches:");
  }
  closedir(threads);
  usage.exits = count_exits();
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  usage.clock = time.tv_sec * 1000000000ull + time.tv_nsec;
  return usage;
}

static struct sockaddr_in address_of(const char *address, const char *port) {
  struct sockaddr_in result = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  if (inet_pton(AF_INET, address, &result.sin_addr) != 1) fail(address);
  return result;
}

static int serve(const char *port, const char *process_file, const char *name) {
  int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  struct sockaddr_in address = address_of("127.0.0.1", port);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 1) < 0) fail("bind");
  int connection = accept(listener, NULL, NULL);
  if (connection < 0) fail("accept");
  setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct command command;
  while (read(connection, &command, sizeof command) == sizeof command) {
    struct usage from = measure(process_file);
    run(connection, &command, 0);
    struct usage to = measure(process_file);
    printf("%s\t%s\t%lu\t%llu\t%llu\t%llu\t%llu\t%llu\t%llu\n", name, command.part, command.amount,
           to.clock - from.clock, to.vcpus - from.vcpus, to.guest - from.guest, to.others - from.others,
           to.exits - from.exits, to.sleeps - from.sleeps);
    fflush(stdout);
    send_all(connection, 1);
  }
  return 0;
}

static int use(const char *host, const char *port, unsigned long mib, unsigned long trips) {
  struct command commands[] = {{"receive", mib}, {"send", mib}, {"trips", trips}};
  struct sockaddr_in address = address_of(host, port);
  int connection = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  if (connect(connection, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
  setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  for (int index = 0; index < 3; index++) {
    if (write(connection, &commands[index], sizeof commands[index]) != sizeof commands[index]) fail("write");
    run(connection, &commands[index], 1);
    // What is measured ends before the next part begins.
    receive_all(connection, 1);
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 5 && strcmp(argv[1], "serve") == 0) return serve(argv[2], argv[3], argv[4]);
  if (argc == 6 && strcmp(argv[1], "use") == 0) return use(argv[2], argv[3], atol(argv[4]), atol(argv[5]));
  fputs("usage: network serve PORT PROCESS-FILE NAME\n       network use ADDRESS PORT MIB TRIPS\n", stderr);
  return 2;
}
