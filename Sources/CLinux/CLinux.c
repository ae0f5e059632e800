// What has to be C: a signal handler, the names of system calls that it prints, a variable for each thread, and what
// is made by macros: messages with descriptors, sets of processors.
#define _GNU_SOURCE
#include "clinux.h"
#include "clinux_writers.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

_Thread_local struct clinux_writer clinux_writer_of_thread;

#define CALL(name) [__NR_##name] = #name,
static const char *const names[] = {
    // clang-format off
    CALL(read) CALL(write) CALL(open) CALL(close) CALL(stat) CALL(fstat) CALL(lstat) CALL(poll)
    CALL(lseek) CALL(mmap) CALL(mprotect) CALL(munmap) CALL(brk) CALL(rt_sigaction)
    CALL(rt_sigprocmask) CALL(rt_sigreturn) CALL(ioctl) CALL(pread64) CALL(pwrite64) CALL(readv)
    CALL(writev) CALL(access) CALL(pipe) CALL(select) CALL(sched_yield) CALL(mremap) CALL(msync)
    CALL(mincore) CALL(madvise) CALL(shmget) CALL(shmat) CALL(shmctl) CALL(dup) CALL(dup2)
    CALL(pause) CALL(nanosleep) CALL(getitimer) CALL(alarm) CALL(setitimer) CALL(getpid)
    CALL(sendfile) CALL(socket) CALL(connect) CALL(accept) CALL(sendto) CALL(recvfrom)
    CALL(sendmsg) CALL(recvmsg) CALL(shutdown) CALL(bind) CALL(listen) CALL(getsockname)
    CALL(getpeername) CALL(socketpair) CALL(setsockopt) CALL(getsockopt) CALL(clone) CALL(fork)
    CALL(vfork) CALL(execve) CALL(exit) CALL(wait4) CALL(kill) CALL(uname) CALL(semget)
    CALL(semop) CALL(semctl) CALL(shmdt) CALL(msgget) CALL(msgsnd) CALL(msgrcv) CALL(msgctl)
    CALL(fcntl) CALL(flock) CALL(fsync) CALL(fdatasync) CALL(truncate) CALL(ftruncate)
    CALL(getdents) CALL(getcwd) CALL(chdir) CALL(fchdir) CALL(rename) CALL(mkdir) CALL(rmdir)
    CALL(creat) CALL(link) CALL(unlink) CALL(symlink) CALL(readlink) CALL(chmod) CALL(fchmod)
    CALL(chown) CALL(fchown) CALL(lchown) CALL(umask) CALL(gettimeofday) CALL(getrlimit)
    CALL(getrusage) CALL(sysinfo) CALL(times) CALL(ptrace) CALL(getuid) CALL(syslog) CALL(getgid)
    CALL(setuid) CALL(setgid) CALL(geteuid) CALL(getegid) CALL(setpgid) CALL(getppid)
    CALL(getpgrp) CALL(setsid) CALL(setreuid) CALL(setregid) CALL(getgroups) CALL(setgroups)
    CALL(setresuid) CALL(getresuid) CALL(setresgid) CALL(getresgid) CALL(getpgid) CALL(setfsuid)
    CALL(setfsgid) CALL(getsid) CALL(capget) CALL(capset) CALL(rt_sigpending)
    CALL(rt_sigtimedwait) CALL(rt_sigqueueinfo) CALL(rt_sigsuspend) CALL(sigaltstack) CALL(utime)
    CALL(mknod) CALL(uselib) CALL(personality) CALL(ustat) CALL(statfs) CALL(fstatfs) CALL(sysfs)
    CALL(getpriority) CALL(setpriority) CALL(sched_setparam) CALL(sched_getparam)
    CALL(sched_setscheduler) CALL(sched_getscheduler) CALL(sched_get_priority_max)
    CALL(sched_get_priority_min) CALL(sched_rr_get_interval) CALL(mlock) CALL(munlock)
    CALL(mlockall) CALL(munlockall) CALL(vhangup) CALL(modify_ldt) CALL(pivot_root) CALL(_sysctl)
    CALL(prctl) CALL(arch_prctl) CALL(adjtimex) CALL(setrlimit) CALL(chroot) CALL(sync) CALL(acct)
    CALL(settimeofday) CALL(mount) CALL(umount2) CALL(swapon) CALL(swapoff) CALL(reboot)
    CALL(sethostname) CALL(setdomainname) CALL(iopl) CALL(ioperm) CALL(create_module)
    CALL(init_module) CALL(delete_module) CALL(get_kernel_syms) CALL(query_module) CALL(quotactl)
    CALL(nfsservctl) CALL(getpmsg) CALL(putpmsg) CALL(afs_syscall) CALL(tuxcall) CALL(security)
    CALL(gettid) CALL(readahead) CALL(setxattr) CALL(lsetxattr) CALL(fsetxattr) CALL(getxattr)
    CALL(lgetxattr) CALL(fgetxattr) CALL(listxattr) CALL(llistxattr) CALL(flistxattr)
    CALL(removexattr) CALL(lremovexattr) CALL(fremovexattr) CALL(tkill) CALL(time) CALL(futex)
    CALL(sched_setaffinity) CALL(sched_getaffinity) CALL(set_thread_area) CALL(io_setup)
    CALL(io_destroy) CALL(io_getevents) CALL(io_submit) CALL(io_cancel) CALL(get_thread_area)
    CALL(lookup_dcookie) CALL(epoll_create) CALL(epoll_ctl_old) CALL(epoll_wait_old)
    CALL(remap_file_pages) CALL(getdents64) CALL(set_tid_address) CALL(restart_syscall)
    CALL(semtimedop) CALL(fadvise64) CALL(timer_create) CALL(timer_settime) CALL(timer_gettime)
    CALL(timer_getoverrun) CALL(timer_delete) CALL(clock_settime) CALL(clock_gettime)
    CALL(clock_getres) CALL(clock_nanosleep) CALL(exit_group) CALL(epoll_wait) CALL(epoll_ctl)
    CALL(tgkill) CALL(utimes) CALL(vserver) CALL(mbind) CALL(set_mempolicy) CALL(get_mempolicy)
    CALL(mq_open) CALL(mq_unlink) CALL(mq_timedsend) CALL(mq_timedreceive) CALL(mq_notify)
    CALL(mq_getsetattr) CALL(kexec_load) CALL(waitid) CALL(add_key) CALL(request_key) CALL(keyctl)
    CALL(ioprio_set) CALL(ioprio_get) CALL(inotify_init) CALL(inotify_add_watch)
    CALL(inotify_rm_watch) CALL(migrate_pages) CALL(openat) CALL(mkdirat) CALL(mknodat)
    CALL(fchownat) CALL(futimesat) CALL(newfstatat) CALL(unlinkat) CALL(renameat) CALL(linkat)
    CALL(symlinkat) CALL(readlinkat) CALL(fchmodat) CALL(faccessat) CALL(pselect6) CALL(ppoll)
    CALL(unshare) CALL(set_robust_list) CALL(get_robust_list) CALL(splice) CALL(tee)
    CALL(sync_file_range) CALL(vmsplice) CALL(move_pages) CALL(utimensat) CALL(epoll_pwait)
    CALL(signalfd) CALL(timerfd_create) CALL(eventfd) CALL(fallocate) CALL(timerfd_settime)
    CALL(timerfd_gettime) CALL(accept4) CALL(signalfd4) CALL(eventfd2) CALL(epoll_create1)
    CALL(dup3) CALL(pipe2) CALL(inotify_init1) CALL(preadv) CALL(pwritev) CALL(rt_tgsigqueueinfo)
    CALL(perf_event_open) CALL(recvmmsg) CALL(fanotify_init) CALL(fanotify_mark) CALL(prlimit64)
    CALL(name_to_handle_at) CALL(open_by_handle_at) CALL(clock_adjtime) CALL(syncfs)
    CALL(sendmmsg) CALL(setns) CALL(getcpu) CALL(process_vm_readv) CALL(process_vm_writev)
    CALL(kcmp) CALL(finit_module) CALL(sched_setattr) CALL(sched_getattr) CALL(renameat2)
    CALL(seccomp) CALL(getrandom) CALL(memfd_create) CALL(kexec_file_load) CALL(bpf)
    CALL(execveat) CALL(userfaultfd) CALL(membarrier) CALL(mlock2) CALL(copy_file_range)
    CALL(preadv2) CALL(pwritev2) CALL(pkey_mprotect) CALL(pkey_alloc) CALL(pkey_free) CALL(statx)
    CALL(io_pgetevents) CALL(rseq) CALL(pidfd_send_signal) CALL(io_uring_setup)
    CALL(io_uring_enter) CALL(io_uring_register) CALL(open_tree) CALL(move_mount) CALL(fsopen)
    CALL(fsconfig) CALL(fsmount) CALL(fspick) CALL(pidfd_open) CALL(clone3) CALL(close_range)
    CALL(openat2) CALL(pidfd_getfd) CALL(faccessat2) CALL(process_madvise) CALL(epoll_pwait2)
    CALL(mount_setattr) CALL(quotactl_fd) CALL(landlock_create_ruleset) CALL(landlock_add_rule)
    CALL(landlock_restrict_self) CALL(memfd_secret) CALL(process_mrelease) CALL(futex_waitv)
    CALL(set_mempolicy_home_node)
    [451] = "cachestat", [452] = "fchmodat2", [453] = "map_shadow_stack", [454] = "futex_wake",
    [455] = "futex_wait", [456] = "futex_requeue", [457] = "statmount", [458] = "listmount",
    [459] = "lsm_get_self_attr", [460] = "lsm_set_self_attr", [461] = "lsm_list_modules",
    [462] = "mseal",
    // clang-format on
};

const char *clinux_system_call_name(uint32_t number) {
  return number < sizeof names / sizeof *names ? names[number] : NULL;
}

// Written before the handler is installed, read by it.
static char starts[CLINUX_ROLE_COUNT][128];
static char end[256];
static struct sigaction previous;

static void copy(char *to, size_t room, const char *from) {
  strncpy(to, from, room - 1);
  to[room - 1] = 0;
}

void clinux_describe_role(uint32_t role, const char *start) {
  if (role < CLINUX_ROLE_COUNT) copy(starts[role], sizeof starts[role], start);
}

// The line under construction; `room` bytes are enough for the longest.
struct line {
  size_t length;
  char text[768];
};

static void add_text(struct line *line, const char *text) {
  while (*text && line->length < sizeof line->text) line->text[line->length++] = *text++;
}

static void add_number(struct line *line, uint64_t value, unsigned base) {
  char digits[24];
  size_t first = sizeof digits;
  digits[--first] = 0;
  do {
    digits[--first] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value);
  add_text(line, digits + first);
}

static void handle(int number, siginfo_t *information, void *context) {
  // SYS_SECCOMP; anything else was sent by somebody, and is not ours.
  if (information->si_code == 1) {
    const greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    uint32_t role = (uint32_t)information->si_errno;
    uint32_t call = (uint32_t)information->si_syscall;
    int is_native = information->si_arch == AUDIT_ARCH_X86_64;
    const char *name = is_native ? clinux_system_call_name(call) : "of another architecture";
    struct line line = {0};
    add_text(&line, starts[role < CLINUX_ROLE_COUNT ? role : 0]);
    add_text(&line, " asked for system call ");
    add_number(&line, call, 10);
    if (name) {
      add_text(&line, " (");
      add_text(&line, name);
      add_text(&line, ")");
    }
    add_text(&line, " with 0x");
    add_number(&line, (uint64_t)registers[REG_RDI], 16);
    add_text(&line, ", 0x");
    add_number(&line, (uint64_t)registers[REG_RSI], 16);
    add_text(&line, ", 0x");
    add_number(&line, (uint64_t)registers[REG_RDX], 16);
    add_text(&line, end);
    (void)!write(STDERR_FILENO, line.text, line.length);
  }
  // Blocked while this runs: it comes when this returns, and nobody goes on with the call's answer.
  sigaction(number, &previous, NULL);
  syscall(__NR_tgkill, getpid(), syscall(__NR_gettid), number);
}

int clinux_install_forbidden_call_handler(const char *text) {
  struct sigaction action = {0}, old;
  copy(end, sizeof end, text);
  sigemptyset(&action.sa_mask);
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO;
  if (sigaction(SIGSYS, NULL, &old) != 0) return -1;
  int is_ours = (old.sa_flags & SA_SIGINFO) && old.sa_sigaction == handle;
  if (!is_ours) {
    // Ignored, it would go on with the call's answer.
    if (!(old.sa_flags & SA_SIGINFO) && old.sa_handler == SIG_IGN) old.sa_handler = SIG_DFL;
    previous = old;
  }
  return sigaction(SIGSYS, &action, NULL);
}

// As in clinux_host.h, which declares functions of <sys/socket.h> itself.
long clinux_send_descriptor(
    int socket, const void *bytes, unsigned long byte_count, int descriptor);

long clinux_send_descriptor(
    int socket, const void *bytes, unsigned long byte_count, int descriptor) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control = {0};
  struct iovec part = {.iov_base = (void *)bytes, .iov_len = byte_count};
  struct msghdr message = {
      .msg_iov = &part,
      .msg_iovlen = 1,
      .msg_control = &control,
      .msg_controllen = sizeof control,
  };
  struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof descriptor);
  memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
  return sendmsg(socket, &message, MSG_NOSIGNAL);
}

int clinux_processor_count(void) {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
}
