internal import CLinux

/// A system call of x86-64, by its number.
public struct SystemCall: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  /// __NR_* of x86-64.
  public let rawValue: UInt32

  /// Any number.
  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  private init(_ number: Int32) {
    rawValue = UInt32(number)
  }

  /// The kernel's name, such as `execve`; the number where the name is not known.
  public var description: String {
    // SAFETY: the names are static strings.
    unsafe clinux_system_call_name(rawValue).map { unsafe String(cString: $0) } ?? "\(rawValue)"
  }
}

// Those that some thread may use, and those that tests look for.
extension SystemCall {
  static let accept4 = SystemCall(__NR_accept4)
  static let brk = SystemCall(__NR_brk)
  static let clockGetTime = SystemCall(__NR_clock_gettime)
  static let clone = SystemCall(__NR_clone)
  static let clone3 = SystemCall(__NR_clone3)
  static let close = SystemCall(__NR_close)
  static let eventfd2 = SystemCall(__NR_eventfd2)
  static let execve = SystemCall(__NR_execve)
  static let exit = SystemCall(__NR_exit)
  static let exitGroup = SystemCall(__NR_exit_group)
  static let fallocate = SystemCall(__NR_fallocate)
  static let mkdir = SystemCall(__NR_mkdir)
  static let fcntl = SystemCall(__NR_fcntl)
  static let flock = SystemCall(__NR_flock)
  static let recvmsg = SystemCall(__NR_recvmsg)
  static let shutdown = SystemCall(__NR_shutdown)
  static let fdatasync = SystemCall(__NR_fdatasync)
  static let fstat = SystemCall(__NR_fstat)
  static let ftruncate = SystemCall(__NR_ftruncate)
  static let futex = SystemCall(__NR_futex)
  static let getpid = SystemCall(__NR_getpid)
  static let getrandom = SystemCall(__NR_getrandom)
  static let getsockopt = SystemCall(__NR_getsockopt)
  static let getrusage = SystemCall(__NR_getrusage)
  static let gettid = SystemCall(__NR_gettid)
  static let getTimeOfDay = SystemCall(__NR_gettimeofday)
  static let ioctl = SystemCall(__NR_ioctl)
  static let lseek = SystemCall(__NR_lseek)
  static let madvise = SystemCall(__NR_madvise)
  static let membarrier = SystemCall(__NR_membarrier)
  static let memfdCreate = SystemCall(__NR_memfd_create)
  static let mincore = SystemCall(__NR_mincore)
  static let mmap = SystemCall(__NR_mmap)
  static let mprotect = SystemCall(__NR_mprotect)
  static let mremap = SystemCall(__NR_mremap)
  static let msync = SystemCall(__NR_msync)
  static let munmap = SystemCall(__NR_munmap)
  static let newfstatat = SystemCall(__NR_newfstatat)
  static let openat = SystemCall(__NR_openat)
  static let pidfdSendSignal = SystemCall(__NR_pidfd_send_signal)
  static let poll = SystemCall(__NR_poll)
  static let pread64 = SystemCall(__NR_pread64)
  static let preadv = SystemCall(__NR_preadv)
  static let pwrite64 = SystemCall(__NR_pwrite64)
  static let pwritev = SystemCall(__NR_pwritev)
  static let read = SystemCall(__NR_read)
  static let recvfrom = SystemCall(__NR_recvfrom)
  static let rename = SystemCall(__NR_rename)
  static let restartSyscall = SystemCall(__NR_restart_syscall)
  static let rseq = SystemCall(__NR_rseq)
  static let rtSigaction = SystemCall(__NR_rt_sigaction)
  static let rtSigprocmask = SystemCall(__NR_rt_sigprocmask)
  static let rtSigreturn = SystemCall(__NR_rt_sigreturn)
  static let rtSigtimedwait = SystemCall(__NR_rt_sigtimedwait)
  static let schedGetaffinity = SystemCall(__NR_sched_getaffinity)
  static let schedYield = SystemCall(__NR_sched_yield)
  static let seccomp = SystemCall(__NR_seccomp)
  static let sendto = SystemCall(__NR_sendto)
  static let setRobustList = SystemCall(__NR_set_robust_list)
  static let socket = SystemCall(__NR_socket)
  static let sysinfo = SystemCall(__NR_sysinfo)
  static let tgkill = SystemCall(__NR_tgkill)
  static let time = SystemCall(__NR_time)
  static let unlink = SystemCall(__NR_unlink)
  static let userfaultfd = SystemCall(__NR_userfaultfd)
  static let wait4 = SystemCall(__NR_wait4)
  static let write = SystemCall(__NR_write)
  static let writev = SystemCall(__NR_writev)
}
