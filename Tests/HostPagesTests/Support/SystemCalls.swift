import Glibc

/// What the importer does not take from the C library: GNU extensions, younger constants and
/// variadic functions. Integers and pointers are passed alike by Swift and C on x86-64.
enum SystemCalls {
  /// *MFD_CLOEXEC*, and with it *MFD_HUGETLB* and *MFD_HUGE_2MB* of linux/memfd.h.
  static let memfdCloseOnExec: UInt32 = 0x1
  static let memfdHugePages: UInt32 = 0x4 | 21 << 26
  static let populateForWriting: Int32 = 23
  static let pageOut: Int32 = 21
  static let useHugePages: Int32 = 14
  static let freeAndPunch: Int32 = 9

  static func makeMemoryFile(flags: UInt32) -> Int32 {
    let name: StaticString = "host-pages-test"
    return unsafe memfd(name.utf8Start, flags)
  }

  /// process_vm_writev of `bytes` into this process.
  static func writeIntoSelf(_ bytes: [UInt8], at address: UnsafeMutableRawPointer) -> Int {
    unsafe bytes.withUnsafeBytes { source in
      var local = unsafe iovec(
        iov_base: UnsafeMutableRawPointer(mutating: source.baseAddress), iov_len: bytes.count)
      var remote = unsafe iovec(iov_base: address, iov_len: bytes.count)
      return unsafe processWrite(getpid(), &local, 1, &remote, 1, 0)
    }
  }

  /// prctl(PR_SET_DUMPABLE).
  static func setDumpable(_ isDumpable: Bool) -> Bool {
    processControl(4, isDumpable ? 1 : 0, 0, 0, 0) == 0
  }

  /// Turns this process, which runs as root, into one of user and group 65534 without any
  /// capability; all its threads but the first, which dispatch has ended.
  static func becomeNobody() -> Bool {
    setgroups(0, nil) == 0 && setgid(65534) == 0 && setuid(65534) == 0
  }
}

@_silgen_name("memfd_create")
private func memfd(_ name: UnsafePointer<UInt8>, _ flags: UInt32) -> Int32

@_silgen_name("process_vm_writev")
private func processWrite(
  _ process: pid_t, _ local: UnsafePointer<iovec>, _ localCount: UInt,
  _ remote: UnsafePointer<iovec>, _ remoteCount: UInt, _ flags: UInt
) -> Int

@_silgen_name("prctl")
private func processControl(
  _ operation: Int32, _ second: UInt, _ third: UInt, _ fourth: UInt, _ fifth: UInt
) -> Int32
