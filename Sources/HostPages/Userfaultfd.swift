internal import CKVM
internal import Glibc
internal import HostSystem

/// A userfaultfd(2) in asynchronous write-protect mode.
///
/// It is opened with *UFFD_USER_MODE_ONLY*, which every user may do, whatever
/// `vm.unprivileged_userfaultfd` says. The flag denies a *handler* the faults of kernel-mode
/// writers; with *UFFD_FEATURE_WP_ASYNC* there is no handler: the kernel takes the protection off
/// by itself, for read(2) and KVM as for user code (mm/memory.c, `do_wp_page`).
struct Userfaultfd: ~Copyable, Sendable {
  private let descriptor: FileDescriptor

  private static let requiredFeatures: [(name: String, mask: UInt64)] = [
    ("UFFD_FEATURE_PAGEFAULT_FLAG_WP", CKVM_UFFD_FEATURE_PAGEFAULT_FLAG_WP),
    ("UFFD_FEATURE_WP_HUGETLBFS_SHMEM", CKVM_UFFD_FEATURE_WP_HUGETLBFS_SHMEM),
    ("UFFD_FEATURE_WP_UNPOPULATED", CKVM_UFFD_FEATURE_WP_UNPOPULATED),
    ("UFFD_FEATURE_WP_ASYNC", CKVM_UFFD_FEATURE_WP_ASYNC),
  ]

  /// - Throws: `call` when it is refused, `missingFeatures` when the kernel is too old.
  init() throws(HostPagesError) {
    let probe = try Self.open()
    // Asking for no feature returns all there are, and uses the descriptor up.
    let offered = try Self.handshake(probe, features: 0)
    let missing = Self.requiredFeatures.filter { offered & $0.mask == 0 }
    guard missing.isEmpty else { throw .missingFeatures(missing.map(\.name)) }
    let descriptor = try Self.open()
    _ = try Self.handshake(
      descriptor, features: Self.requiredFeatures.reduce(0) { $0 | $1.mask })
    self.descriptor = descriptor
  }

  /// Puts the range under this descriptor; returns whether the kernel takes it for huge pages of
  /// hugetlbfs, the one kind of memory without UFFDIO_ZEROPAGE.
  func register(_ range: HostRange) throws(HostPagesError) -> Bool {
    var argument = uffdio_register()
    argument.range = uffdio_range(start: UInt64(range.start), len: UInt64(range.byteCount))
    argument.mode = CKVM_UFFDIO_REGISTER_MODE_WP
    switch descriptor.call(CKVM_UFFDIO_REGISTER, &argument) {
    case .success: return argument.ioctls & CKVM_UFFDIO_ZEROPAGE_BIT == 0
    case .failure(let error):
      let cure: String? =
        switch error.rawValue {
        case EINVAL, ENOMEM:
          "the range must be mapped, as anonymous memory, memfd or hugetlbfs, in whole pages of it"
        case EBUSY: "another userfaultfd of this process has the range; end that one first"
        case EPERM: "the memory must be mapped writable, or its file be opened for writing"
        default: nil
        }
      throw .call(operation: "UFFDIO_REGISTER \(range)", errno: error.rawValue, cure: cure)
    }
  }

  /// Takes the range out again; pages lose their protection.
  func unregister(_ range: HostRange) throws(HostPagesError) {
    var argument = uffdio_range(start: UInt64(range.start), len: UInt64(range.byteCount))
    if case .failure(let error) = descriptor.call(CKVM_UFFDIO_UNREGISTER, &argument) {
      throw .call(
        operation: "UFFDIO_UNREGISTER \(range)", errno: error.rawValue,
        cure: error.rawValue == EINVAL ? "end the protection before the memory is unmapped" : nil)
    }
  }

  /// Protects every page of a registered range, populated or not.
  func protect(_ range: HostRange) throws(HostPagesError) {
    for piece in range.pieces {
      var isDone = false
      while !isDone {
        var argument = uffdio_writeprotect()
        argument.range = uffdio_range(start: UInt64(piece.start), len: UInt64(piece.byteCount))
        argument.mode = CKVM_UFFDIO_WRITEPROTECT_MODE_WP
        switch descriptor.call(CKVM_UFFDIO_WRITEPROTECT, &argument) {
        case .success: isDone = true
        // The address space is being changed (mremap, fork): it says to try again.
        case .failure(let error) where error.rawValue == EAGAIN: _ = sched_yield()
        case .failure(let error) where error.rawValue == ENOENT: throw .registrationLost(range)
        case .failure(let error):
          throw .call(
            operation: "UFFDIO_WRITEPROTECT 0x\(String(piece.start, radix: 16)), "
              + "\(piece.byteCount) bytes", errno: error.rawValue,
            cure: error.rawValue == ENOMEM
              ? "there must be 2 KiB free for page tables per MiB of unpopulated memory" : nil)
        }
      }
    }
  }

  /// The system call, else the device: a container's seccomp filter may refuse the former only.
  private static func open() throws(HostPagesError) -> FileDescriptor {
    let flags = O_CLOEXEC | O_NONBLOCK | CKVM_UFFD_USER_MODE_ONLY
    let error: Errno
    do throws(Errno) {
      return try FileDescriptor { ckvm_userfaultfd(flags) }
    } catch let refusal {
      error = refusal
    }
    if let descriptor = openWithDevice(flags) { return descriptor }
    let cure: String? =
      switch error.rawValue {
      case ENOSYS: "the kernel needs CONFIG_USERFAULTFD=y"
      case EPERM, EACCES:
        "no privilege is needed for this call, so a seccomp filter or security module denies it:"
          + " allow userfaultfd there, or give access to /dev/userfaultfd"
      case EINVAL: "use Linux 6.7 or newer"
      default: nil
      }
    throw .call(
      operation: "userfaultfd with UFFD_USER_MODE_ONLY", errno: error.rawValue, cure: cure)
  }

  private static func openWithDevice(_ flags: Int32) -> FileDescriptor? {
    // SAFETY: the path is a C string for the time of the call.
    guard
      let device = try? FileDescriptor({
        unsafe Glibc.open("/dev/userfaultfd", O_RDWR | O_CLOEXEC)
      })
    else { return nil }
    return try? FileDescriptor {
      ckvm_ioctl_value(device.rawValue, CKVM_USERFAULTFD_IOC_NEW, UInt(flags))
    }
  }

  /// UFFDIO_API; returns all features the kernel has.
  private static func handshake(
    _ descriptor: borrowing FileDescriptor, features: UInt64
  ) throws(HostPagesError) -> UInt64 {
    var argument = uffdio_api()
    argument.api = CKVM_UFFD_API
    argument.features = features
    if case .failure(let error) = descriptor.call(CKVM_UFFDIO_API, &argument) {
      throw .call(
        operation: "UFFDIO_API with features 0x\(String(features, radix: 16))",
        errno: error.rawValue, cure: "use Linux 6.7 or newer")
    }
    return argument.features
  }
}
