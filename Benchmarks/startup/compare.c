// Runs two commands in turn, many times, and compares their times from fork to end.
//
//   compare COUNT FLOOR FLOOR-ARGUMENT -- COMMAND ARGUMENTS...
//
// In turn, so that whatever else the machine does meets both. Prints median and best of each, their
// ratio, and the peak resident memory of each.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct result {
  double *milliseconds;
  long peak_kib;
};

static void run_once(char *const *command, struct result *result, int index) {
  struct timespec start, end;
  struct rusage usage;
  int status;
  clock_gettime(CLOCK_MONOTONIC, &start);
  pid_t child = fork();
  if (child == 0) {
    execvp(command[0], command);
    _exit(127);
  }
  if (child < 0 || wait4(child, &status, 0, &usage) < 0 || status != 0) {
    fprintf(stderr, "compare: %s failed\n", command[0]);
    exit(1);
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  result->milliseconds[index] =
      (end.tv_sec - start.tv_sec) * 1e3 + (end.tv_nsec - start.tv_nsec) / 1e6;
  if (usage.ru_maxrss > result->peak_kib) result->peak_kib = usage.ru_maxrss;
}

static int ascending(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

int main(int argc, char **argv) {
  if (argc < 6 || strcmp(argv[4], "--") != 0 || atoi(argv[1]) < 1) {
    fprintf(stderr, "usage: compare COUNT FLOOR FLOOR-ARGUMENT -- COMMAND ARGUMENTS...\n");
    return 2;
  }
  int count = atoi(argv[1]);
  char *floor_command[] = {argv[2], argv[3], NULL};
  char *const *commands[2] = {floor_command, argv + 5};
  struct result results[2];
  for (int which = 0; which < 2; which++) {
    results[which].milliseconds = calloc(count, sizeof(double));
    results[which].peak_kib = 0;
  }
  for (int index = 0; index < count; index++)
    for (int which = 0; which < 2; which++) run_once(commands[which], &results[which], index);
  for (int which = 0; which < 2; which++) {
    qsort(results[which].milliseconds, count, sizeof(double), ascending);
    printf("%-8s median %7.2f ms  best %7.2f ms  peak memory %6.1f MiB  (%d runs)\n",
           which ? "command" : "floor", results[which].milliseconds[count / 2],
           results[which].milliseconds[0], results[which].peak_kib / 1024.0, count);
  }
  printf("ratio    median %7.2f     best %7.2f\n",
         results[1].milliseconds[count / 2] / results[0].milliseconds[count / 2],
         results[1].milliseconds[0] / results[0].milliseconds[0]);
  return 0;
}
