// Runs commands in turn, several times, and compares their times from fork to end, and their peak memory, with
// those of the first; or watches one and tells its peak memory.
//
//   compare times SECTION COUNT NAME COMMAND... [-- NAME COMMAND...]...
//   compare memory SECTION NAME COMMAND...
//
// NAME may end in =STATUS, the exit status that is expected (0). A command's output goes to NAME.log in the
// working directory, and its input is /dev/null. One that has not ended after LIMIT_SECONDS is killed and
// started again, which is said. Figures are appended as lines of JSON to the file that BENCH_FIGURES names.
//
// "memory" wants a command whose guest RAM is shared memory: then RssAnon + RssFile of /proc/PID/status is
// what it has besides. They are read twice a second, as more would slow down the rig.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_SECONDS = 150, MAXIMUM_ATTEMPTS = 8, MAXIMUM_COMMANDS = 8 };

struct command {
  char name[48];
  int expected_status;
  char *const *arguments;
  double *milliseconds;
  double peak_mib;
};

static struct command make_command(const char *name, char *const *arguments) {
  struct command command = {.arguments = arguments};
  const char *mark = strrchr(name, '=');
  snprintf(command.name, sizeof command.name, "%.*s",
           (int)(mark ? (size_t)(mark - name) : strlen(name)), name);
  if (mark) command.expected_status = atoi(mark + 1);
  return command;
}

static pid_t start(const struct command *command) {
  pid_t child = fork();
  if (child != 0) return child;
  char path[128];
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

static int ended_as_expected(const struct command *command, int status) {
  return WIFEXITED(status) && WEXITSTATUS(status) == command->expected_status;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

static volatile sig_atomic_t running;

static void kill_running(int signal) {
  (void)signal;
  kill(running, SIGKILL);
}

static double run_once(struct command *command) {
  for (int attempt = 0; attempt < MAXIMUM_ATTEMPTS; attempt++) {
    int status = -1;
    struct rusage usage;
    double from = now();
    pid_t child = start(command);
    if (child < 0) fail(command, status);
    running = child;
    alarm(LIMIT_SECONDS);
    while (wait4(child, &status, 0, &usage) < 0) continue;
    double to = now();
    if (alarm(0) > 0 && ended_as_expected(command, status)) {
      if (usage.ru_maxrss / 1024.0 > command->peak_mib) command->peak_mib = usage.ru_maxrss / 1024.0;
      return to - from;
    }
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) fail(command, status);
    char kept[64], log[64];
    snprintf(log, sizeof log, "%.47s.log", command->name);
    snprintf(kept, sizeof kept, "%.47s.killed.log", command->name);
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

static double quantile(const double *sorted, int count, double part) {
  int index = count * part;
  return sorted[index < count ? index : count - 1];
}

struct figure {
  double median, best, spread;
};

static struct figure figure_of(double *values, int count) {
  qsort(values, count, sizeof(double), ascending);
  double median = quantile(values, count, 0.5);
  return (struct figure){
      median, values[0], (quantile(values, count, 0.75) - quantile(values, count, 0.25)) / median};
}

static FILE *figures;

// One line of JSON; `floor` is NULL where there is none.
static void emit(const char *section, const char *name, const char *what, const char *unit, int count,
                 struct figure figure, const char *floor_name, const struct figure *floor) {
  if (!figures) return;
  fprintf(figures,
          "{\"section\":\"%s\",\"name\":\"%s%s\",\"unit\":\"%s\",\"count\":%d,\"median\":%g,"
          "\"best\":%g,\"spread\":%g",
          section, name, what, unit, count, figure.median, figure.best, figure.spread);
  if (floor)
    fprintf(figures,
            ",\"floor\":\"%s\",\"floorMedian\":%g,\"floorBest\":%g,\"floorSpread\":%g,"
            "\"ratio\":%g,\"ratioOfBests\":%g",
            floor_name, floor->median, floor->best, floor->spread, figure.median / floor->median,
            figure.best / floor->best);
  fputs("}\n", figures);
}

static int compare_times(const char *section, int count, struct command *commands,
                         int command_count) {
  for (int which = 0; which < command_count; which++)
    commands[which].milliseconds = calloc(count, sizeof(double));
  for (int index = 0; index < count; index++)
    for (int which = 0; which < command_count; which++)
      commands[which].milliseconds[index] = run_once(&commands[which]);
  struct figure floor = {0, 0, 0};
  for (int which = 0; which < command_count; which++) {
    struct command *command = &commands[which];
    struct figure time = figure_of(command->milliseconds, count);
    if (which == 0) floor = time;
    printf("%-12s median %9.2f ms  best %9.2f ms  spread %3.0f %%  ratio %5.2f (%.2f)  peak memory"
           " %6.1f MiB  %d runs\n",
           command->name, time.median, time.best, time.spread * 100, time.median / floor.median,
           time.best / floor.best, command->peak_mib, count);
    emit(section, command->name, "", "ms", count, time, commands[0].name, which ? &floor : NULL);
    struct figure peak = {command->peak_mib, command->peak_mib, 0},
                  floor_peak = {commands[0].peak_mib, commands[0].peak_mib, 0};
    emit(section, command->name, ", peak memory", "MiB", count, peak, commands[0].name,
         which ? &floor_peak : NULL);
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

static int watch_memory(const char *section, const struct command *command) {
  struct sizes last, peak = {0, 0};
  int status = -1;
  double from = now();
  pid_t child = start(command), ended = 0;
  while (child > 0 && (ended = waitpid(child, &status, WNOHANG)) == 0) {
    if (read_sizes(child, &last) && last.anonymous + last.file > peak.anonymous + peak.file)
      peak = last;
    if (now() - from > LIMIT_SECONDS * 1e3) kill(child, SIGKILL);
    usleep(500000);
  }
  if (ended != child || !ended_as_expected(command, status)) fail(command, status);
  printf("%-12s beyond guest RAM %6.1f MiB: %6.1f of its own, %6.1f of files\n",
         command->name, (peak.anonymous + peak.file) / 1024.0, peak.anonymous / 1024.0,
         peak.file / 1024.0);
  double mib = (peak.anonymous + peak.file) / 1024.0;
  emit(section, command->name, ", beyond guest RAM", "MiB", 1, (struct figure){mib, mib, 0}, NULL,
       NULL);
  return 0;
}

static int usage(void) {
  fputs("usage: compare times SECTION COUNT NAME COMMAND... [-- NAME COMMAND...]...\n"
        "       compare memory SECTION NAME COMMAND...\n",
        stderr);
  return 2;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGALRM, kill_running);
  const char *path = getenv("BENCH_FIGURES");
  if (path && !(figures = fopen(path, "a"))) {
    perror(path);
    return 1;
  }
  if (argc >= 5 && strcmp(argv[1], "memory") == 0) {
    struct command command = make_command(argv[3], argv + 4);
    return watch_memory(argv[2], &command);
  }
  if (argc < 6 || strcmp(argv[1], "times") != 0 || atoi(argv[3]) < 1) return usage();
  struct command commands[MAXIMUM_COMMANDS];
  int count = 0, next = 4;
  while (next < argc) {
    if (next + 1 >= argc || count == MAXIMUM_COMMANDS) return usage();
    commands[count++] = make_command(argv[next], argv + next + 1);
    while (next < argc && strcmp(argv[next], "--") != 0) next++;
    argv[next++] = NULL;
  }
  return compare_times(argv[2], atoi(argv[3]), commands, count);
}
