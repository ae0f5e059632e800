// Runs commands in turn, several times, and compares their times from fork to end with those of the first;
// or watches one and tells its peak memory.
//
//   compare times COUNT NAME COMMAND... [-- NAME COMMAND...]...
//   compare memory NAME COMMAND...
//
// Their output goes to NAME.log in the working directory, and their input is /dev/null. One that has not
// ended after LIMIT_SECONDS is killed and started again, which is said. "memory" wants a command whose
// guest RAM is shared memory: then RssAnon + RssFile of /proc/PID/status is what it has besides. They are
// read twice a second, as more would slow down the rig.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_SECONDS = 40, MAXIMUM_ATTEMPTS = 8, MAXIMUM_COMMANDS = 8 };

struct command {
  const char *name;
  char *const *arguments;
  double *seconds;
};

static pid_t start(const struct command *command) {
  pid_t child = fork();
  if (child != 0) return child;
  char path[256];
  snprintf(path, sizeof path, "%s.log", command->name);
  int log = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644), input = open("/dev/null", O_RDONLY);
  dup2(input, 0);
  dup2(log, 1);
  dup2(log, 2);
  execvp(command->arguments[0], command->arguments);
  _exit(127);
}

static void fail(const struct command *command, int status) {
  fprintf(stderr, "compare: %s ended with wait status 0x%x; its output is in %s.log\n",
          command->name, status, command->name);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static volatile sig_atomic_t running;

static void kill_running(int signal) {
  (void)signal;
  kill(running, SIGKILL);
}

static double run_once(const struct command *command) {
  for (int attempt = 0; attempt < MAXIMUM_ATTEMPTS; attempt++) {
    int status = -1;
    double from = now();
    pid_t child = start(command);
    if (child < 0) fail(command, status);
    running = child;
    alarm(LIMIT_SECONDS);
    while (waitpid(child, &status, 0) < 0) continue;
    double to = now();
    if (alarm(0) > 0 && status == 0) return to - from;
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) fail(command, status);
    char kept[256], log[256];
    snprintf(log, sizeof log, "%s.log", command->name);
    snprintf(kept, sizeof kept, "%s.killed.log", command->name);
    rename(log, kept);
    printf("%s: killed, as it had not ended after %d s\n", command->name, LIMIT_SECONDS);
  }
  fail(command, -1);
  return 0;
}

static int ascending(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

static double median(const double *sorted, int count) {
  return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
}

static int compare_times(int count, struct command *commands, int command_count) {
  for (int which = 0; which < command_count; which++)
    commands[which].seconds = calloc(count, sizeof(double));
  for (int index = 0; index < count; index++)
    for (int which = 0; which < command_count; which++) {
      commands[which].seconds[index] = run_once(&commands[which]);
      printf("%s %.2f s\n", commands[which].name, commands[which].seconds[index]);
    }
  for (int which = 0; which < command_count; which++) {
    double *seconds = commands[which].seconds;
    qsort(seconds, count, sizeof(double), ascending);
    printf("%-10s median %6.2f s  best %6.2f s  ratio %5.2f (%.2f)  %d runs\n",
           commands[which].name, median(seconds, count), seconds[0],
           median(seconds, count) / median(commands[0].seconds, count),
           seconds[0] / commands[0].seconds[0], count);
  }
  return 0;
}

// KiB.
struct sizes {
  long anonymous, file;
};

// 0 if the process has no memory any more.
static int read_sizes(pid_t process, struct sizes *sizes) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/%d/status", process);
  FILE *status = fopen(path, "r");
  int found = 0;
  if (!status) return 0;
  while (fgets(line, sizeof line, status)) {
    found += sscanf(line, "RssAnon: %ld", &sizes->anonymous);
    found += sscanf(line, "RssFile: %ld", &sizes->file);
  }
  fclose(status);
  return found == 2;
}

static int watch_memory(const struct command *command) {
  struct sizes last, peak = {0, 0};
  int status = -1;
  double from = now();
  pid_t child = start(command), ended = 0;
  while (child > 0 && (ended = waitpid(child, &status, WNOHANG)) == 0) {
    if (read_sizes(child, &last) && last.anonymous + last.file > peak.anonymous + peak.file)
      peak = last;
    if (now() - from > LIMIT_SECONDS) kill(child, SIGKILL);
    usleep(500000);
  }
  if (ended != child || status != 0) fail(command, status);
  printf("%-10s beyond guest RAM %6.1f MiB: %6.1f of its own, %6.1f of files\n",
         command->name, (peak.anonymous + peak.file) / 1024.0, peak.anonymous / 1024.0,
         peak.file / 1024.0);
  return 0;
}

static int usage(void) {
  fputs("usage: compare times COUNT NAME COMMAND... [-- NAME COMMAND...]...\n"
        "       compare memory NAME COMMAND...\n",
        stderr);
  return 2;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGALRM, kill_running);
  if (argc >= 4 && strcmp(argv[1], "memory") == 0) {
    struct command command = {argv[2], argv + 3, NULL};
    return watch_memory(&command);
  }
  if (argc < 5 || strcmp(argv[1], "times") != 0 || atoi(argv[2]) < 1) return usage();
  struct command commands[MAXIMUM_COMMANDS];
  int count = 0, next = 3;
  while (next < argc) {
    if (next + 1 >= argc || count == MAXIMUM_COMMANDS) return usage();
    commands[count++] = (struct command){argv[next], argv + next + 1, NULL};
    while (next < argc && strcmp(argv[next], "--") != 0) next++;
    argv[next++] = NULL;
  }
  return compare_times(atoi(argv[2]), commands, count);
}
