// Starting other programs: fork(2) and what its child does until execve(2).
#define _GNU_SOURCE
#include "clinux_process.h"

#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __NR_pidfd_open
#define __NR_pidfd_open 434
#define __NR_pidfd_send_signal 424
#endif
#ifndef __NR_close_range
#define __NR_close_range 436
#endif

enum { TARGET_COUNT = 3 + CLINUX_INHERITED_LIMIT };

// Gives the child its descriptors: `sources` become 0, 1, 2 and so on, all others go at exec.
static int take_descriptors(const int *sources, int count) {
  int copies[TARGET_COUNT];
  // Above all targets first: a source may have the number of another's target.
  for (int target = 0; target < count; target++) {
    copies[target] = fcntl(sources[target], F_DUPFD_CLOEXEC, TARGET_COUNT);
    if (copies[target] < 0) return -1;
  }
  for (int target = 0; target < count; target++) {
    if (dup2(copies[target], target) < 0) return -1;
  }
  // CLOSE_RANGE_CLOEXEC: the report of a failure stays until then.
  return (int)syscall(__NR_close_range, (unsigned)count, ~0U, 4U);
}

// Puts back what the parent ignores or blocks; execve(2) would keep it.
static int forget_signals(void) {
  // The kernel's call: the library's knows nothing of the signals that it keeps for itself, and
  // some parents ignore those, too.
  const struct {
    void *handler;
    unsigned long flags;
    void *restorer;
    uint64_t mask;
  } standard = {0};
  for (int number = 1; number < NSIG; number++) {
    // Fails for those that cannot be changed, which need not be.
    (void)syscall(__NR_rt_sigaction, number, &standard, NULL, sizeof standard.mask);
  }
  sigset_t none;
  sigemptyset(&none);
  return sigprocmask(SIG_SETMASK, &none, NULL);
}

int clinux_spawn(
    const char *path, char *const *arguments, char *const *environment, const int *inherited,
    size_t count, int output, int *number) {
  if (count > CLINUX_INHERITED_LIMIT) return errno = EINVAL, -1;
  int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
  int report[2] = {-1, -1};
  int process = -1;
  if (nothing < 0 || pipe2(report, O_CLOEXEC) < 0) goto end;
  if (output < 0) output = nothing;
  int sources[TARGET_COUNT] = {nothing, output, output};
  for (size_t index = 0; index < count; index++) sources[3 + index] = inherited[index];
  pid_t parent = getpid();
  sigset_t all, before;
  sigfillset(&all);
  // No handler of the parent's runs in the child.
  sigprocmask(SIG_SETMASK, &all, &before);
  pid_t child = fork();
  if (child == 0) {
    // The report first: it may have the number of a target.
    int told = fcntl(report[1], F_DUPFD_CLOEXEC, TARGET_COUNT);
    if (told < 0 || prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL) != 0) _exit(1);
    // The parent may have ended before it was asked for.
    if (getppid() != parent) _exit(1);
    // A session of its own: the terminal's Ctrl-C is the parent's.
    (void)setsid();
    if (take_descriptors(sources, 3 + (int)count) == 0 && forget_signals() == 0)
      execve(path, arguments, environment);
    int error = errno;
    (void)!write(told, &error, sizeof error);
    _exit(1);
  }
  int error = errno;
  sigprocmask(SIG_SETMASK, &before, NULL);
  errno = error;
  if (child < 0) goto end;
  close(report[1]);
  report[1] = -1;
  ssize_t length;
  do length = read(report[0], &error, sizeof error);
  while (length < 0 && errno == EINTR);
  // It cannot be another's number: nobody has taken the child's status.
  if (length == 0) process = (int)syscall(__NR_pidfd_open, child, 0U);
  if (process < 0) {
    if (length == 0) error = errno;
    if (length != 0 && length != (ssize_t)sizeof error) error = EIO;
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
    errno = error;
  }
  *number = child;
end:
  error = errno;
  if (nothing >= 0) close(nothing);
  if (report[0] >= 0) close(report[0]);
  if (report[1] >= 0) close(report[1]);
  errno = error;
  return process;
}

int clinux_signal_process(int process, int signal) {
  return (int)syscall(__NR_pidfd_send_signal, process, signal, NULL, 0U);
}

int clinux_reap(int number, int *status) { return waitpid(number, status, WNOHANG); }
