internal import CLinux

extension SandboxPermission {
  /// What all threads may ask for, except the requests of ioctl(2), which are in `SandboxRequest`.
  static let all: [SandboxPermission] = memory + threads + transfers + files

  /// *PROT_EXEC*: no thread gets executable memory.
  private static let isNotExecutable = [[ArgumentTest.argument(2, lacks: 0x4)]]

  private static let memory: [SandboxPermission] = [
    SandboxPermission(.mmap, .all, only: "without PROT_EXEC", isNotExecutable, why: allocator),
    SandboxPermission(.mprotect, .all, only: "without PROT_EXEC", isNotExecutable, why: allocator),
    SandboxPermission(.munmap, .all, why: allocator),
    SandboxPermission(.mremap, .all, why: allocator),
    SandboxPermission(.brk, .all, why: allocator),
    SandboxPermission(.madvise, .all, why: "the allocator; pages given back, huge pages"),
    SandboxPermission(.schedGetaffinity, .all, why: "the allocator, once a thread"),
    SandboxPermission(.getrandom, .all, why: "seeds of hash tables"),
    SandboxPermission(
      .memfdCreate, .service, why: "guest memory of the backings memfd and hugetlb"),
    SandboxPermission(
      .membarrier, .memory, only: "expedited, in this process",
      [
        [.argument(0, is: UInt32(CLINUX_MEMBARRIER))],
        [.argument(0, is: UInt32(CLINUX_REGISTER_FOR_MEMBARRIER))],
      ], why: "keeps writers of guest memory out while pages are looked at or given back"),
    SandboxPermission(.mincore, .guest, need: .pageTables, why: "which pages are there"),
    SandboxPermission(.msync, .guest, need: .pageTables, why: "whether memory is mapped"),
    SandboxPermission(.sysinfo, .guest, need: .pageTables, why: "whether there is swap"),
    SandboxPermission(.userfaultfd, .service, need: .writeProtection, why: "write protection"),
  ]
  private static let allocator = "the allocator"

  /// *CLONE_VM*, *FS*, *FILES*, *SIGHAND*, *THREAD*.
  private static let threadFlags: UInt32 = 0x1_0F00
  /// *CLONE_PTRACE*, *VFORK*, *UNTRACED* and all new namespaces.
  private static let otherFlags: UInt32 = 0x7E82_6000

  private static let threads: [SandboxPermission] = [
    SandboxPermission(.futex, .all, why: "locks, and the wait for work"),
    SandboxPermission(.gettid, .all, why: "locks"),
    SandboxPermission(.getpid, .all, why: "signals to own threads"),
    SandboxPermission(.schedYield, .all, why: "locks of the C library"),
    SandboxPermission(
      .clone, .service, only: "a thread, no process",
      [[ArgumentTest(0, mask: threadFlags | otherFlags, is: threadFlags)]],
      why: "threads; a vCPU's or disk's may make none"),
    SandboxPermission(
      .clone3, .service, only: "fails with ENOSYS", answer: .fail(38),
      why: "its flags cannot be looked at; the C library then uses clone"),
    SandboxPermission(.setRobustList, .service, why: "a thread's beginning"),
    SandboxPermission(.rseq, .service, why: "a thread's beginning"),
    SandboxPermission(
      .seccomp, .service, only: "another filter, without flags",
      [[.argument(0, is: 1), .argument(1, is: 0)]], why: "a thread's own, stricter filter"),
    SandboxPermission(.exit, .all, why: "a thread's end"),
    SandboxPermission(.exitGroup, .all, why: "the end"),
    SandboxPermission(.rtSigaction, .all, why: "the kick of a vCPU; how a crash ends"),
    SandboxPermission(.rtSigprocmask, .all, why: "a thread's beginning and end"),
    SandboxPermission(.rtSigreturn, .all, why: "signals"),
    SandboxPermission(.wait4, .service, need: .children, why: "how a program of its own ended"),
    SandboxPermission(
      .pidfdSendSignal, .service, need: .children, why: "the end of a program of its own"),
    SandboxPermission(.rtSigtimedwait, .service, why: "waits for SIGINT and SIGTERM"),
    SandboxPermission(.restartSyscall, .all, why: "calls that a stop interrupted"),
    SandboxPermission(.clockGetTime, .all, why: "clocks that the processor does not tell"),
    SandboxPermission(.time, .service, why: "the time zone"),
  ]

  private static let transfers: [SandboxPermission] = [
    SandboxPermission(.write, .all, why: "console, traces, messages"),
    SandboxPermission(.writev, .all, why: "last words of the C library"),
    SandboxPermission(.read, .readers, why: "console, /proc; wake-ups of threads that wait"),
    SandboxPermission(
      .accept4, .listeners, need: .listener, why: "viewers and control clients that connect"),
    SandboxPermission(
      .getsockopt, .control, only: "SO_PEERCRED", [[.argument(1, is: 1), .argument(2, is: 17)]],
      need: .control, why: "which user a control client is"),
    SandboxPermission(
      .recvfrom, .peers, need: .peers,
      why: "what viewers, control clients and a TPM's emulator send; frames"),
    SandboxPermission(
      .sendto, .peers, only: "to no address", [[.argument(4, is: 0)]], need: .peers,
      why: "what viewers, control clients and a TPM's emulator get; frames"),
    SandboxPermission(
      .recvmsg, .control, need: .control,
      why: "what control clients send, and the socket by which a machine moves"),
    SandboxPermission(
      .shutdown, .service, need: .migration, why: "the end of the socket by which a machine moves"),
    SandboxPermission(
      .flock, .service, need: .migration,
      why: "disks and a TPM's directory that pass to or from another process"),
    SandboxPermission(
      .fcntl, .service, only: "F_OFD_GETLK and F_OFD_SETLK",
      [[.argument(1, is: 36)], [.argument(1, is: 37)]], need: .migration,
      why: "disks that pass to or from another process"),
    SandboxPermission(.pread64, .all, why: "disks; /proc/self/pagemap; kernel and initrd"),
    SandboxPermission(.preadv, .disk, why: "disks"),
    SandboxPermission(.pwrite64, .disk, why: "disks"),
    SandboxPermission(.pwritev, .disk, why: "disks"),
    SandboxPermission(.fdatasync, .disk, why: "a guest's flush"),
    SandboxPermission(.getrusage, .disk, why: "whether a disk made its thread wait"),
    SandboxPermission(.pwrite64, .vcpu, need: .flash, why: "firmware's variables"),
    SandboxPermission(.fdatasync, .vcpu, need: .flash, why: "firmware's variables"),
    SandboxPermission(
      .fallocate, .disk, only: "holes and zeroes within the file",
      [[.argument(1, is: 0x03)], [.argument(1, is: 0x11)]], why: "a guest's discard"),
    SandboxPermission(.lseek, .guest, why: "holes of guest memory that is a file"),
    SandboxPermission(
      .poll, .waiting, why: "console, pause, time limits, whatever comes over sockets"),
    SandboxPermission(
      .eventfd2, .service, why: "pause, time limits, the console; again after a reset"),
    SandboxPermission(.close, .all, why: "what is no longer needed"),
    SandboxPermission(
      .ftruncate, .guest, why: "guest memory that is a file; half a line of a trace"),
  ]

  /// *O_CREAT* and *O_TRUNC*.
  private static let doesNotCreate = [[ArgumentTest.argument(2, lacks: 0o1100)]]

  private static let files: [SandboxPermission] = [
    SandboxPermission(
      .openat, .service, only: "without O_CREAT and O_TRUNC, except for file replacement",
      doesNotCreate, why: "/dev/kvm after a reset, /proc; Landlock says which"),
    SandboxPermission(.newfstatat, .service, why: "sizes of files"),
    SandboxPermission(.fstat, .service, why: "sizes of files"),
    SandboxPermission(.rename, .service, need: .fileReplacement, why: "a picture in one step"),
    SandboxPermission(.mkdir, .service, need: .saving, why: "a place for a saved machine"),
    SandboxPermission(
      .unlink, .service, need: .fileRemoval,
      why: "a picture that failed; the control socket's file at the end"),
  ]
}
