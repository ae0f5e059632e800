internal import Glibc
internal import HostSystem

/// The locks that keep several monitors off one open file: flock(2), and QEMU's.
///
/// QEMU locks single bytes by open file descriptions (*F_OFD_SETLK*), always shared: byte 100 + n
/// for a permission it uses, 200 + n for one that it grants to no other. Then it looks whether
/// anybody has the opposite: 200 + n of what it uses, 100 + n of what it does not grant. Only bytes
/// that do not conflict are ever locked, so the order in which two programs do this does not
/// matter: if both are there at a time, at least one of them sees the other. Source: QEMU,
/// block/file-posix.c, where the bytes from 0 on are left to libvirt; tried with 7.2 and 10.0.
///
/// Locks go with the open file description, so two machines of one process exclude each other, too.
enum FileLocks {
  /// QEMU's permissions by number.
  private enum Permission {
    static let consistentRead: Int64 = 0
    static let write: Int64 = 1
    static let resize: Int64 = 3
  }

  private static let usedBase: Int64 = 100
  private static let notSharedBase: Int64 = 200

  /// Takes both locks: shared to read, exclusive to write as well. Waits for what holds them only
  /// for a moment (`LockPatience`).
  ///
  /// - Parameter calls: the system calls.
  /// - Returns: the failure of a file system that has no locks of a kind; nil if all were taken.
  /// - Throws: `.locked`; `.system` for what says nothing of locks.
  static func take(
    _ descriptor: Int32, isReadOnly: Bool, calls: FileLockCalls = .system
  ) throws(LockedFile.Failure) -> FileLockGap? {
    var missing: FileLockGap?
    let isTaken = try LockPatience.take(nap: calls.nap) { () throws(LockedFile.Failure) in
      do throws(LockedFile.Failure) {
        let whole = calls.lockWhole(descriptor, (isReadOnly ? LOCK_SH : LOCK_EX) | LOCK_NB)
        let wholeGap = try gap(whole, "flock")
        missing = try takeBytes(descriptor, isReadOnly: isReadOnly, calls) ?? wholeGap
        return true
      } catch .locked {
        return false
      }
    }
    guard isTaken else { throw .locked }
    return missing
  }

  private static func takeBytes(
    _ descriptor: Int32, isReadOnly: Bool, _ calls: FileLockCalls
  ) throws(LockedFile.Failure) -> FileLockGap? {
    let used = [Permission.consistentRead] + (isReadOnly ? [] : [Permission.write])
    // A disk keeps its size, and its bytes except what its machine writes.
    let notShared = [Permission.write, Permission.resize]
    for byte in used.map({ usedBase + $0 }) + notShared.map({ notSharedBase + $0 }) {
      if let gap = try gap(calls.shareByte(descriptor, byte), "fcntl(F_OFD_SETLK)") { return gap }
    }
    for byte in used.map({ notSharedBase + $0 }) + notShared.map({ usedBase + $0 }) {
      if let gap = try gap(calls.testByte(descriptor, byte), "fcntl(F_OFD_GETLK)") { return gap }
    }
    return nil
  }

  /// Nil for success.
  private static func gap(
    _ errno: Int32, _ operation: String
  ) throws(LockedFile.Failure) -> FileLockGap? {
    switch errno {
    case 0: return nil
    // One value by two names, and what POSIX allows fcntl(2) to say instead.
    case EWOULDBLOCK, EACCES: throw .locked
    // No lock server; a file system without the call (Lustre without `-o flock`); one that has no
    // locks.
    case ENOLCK, ENOSYS, EOPNOTSUPP, EINVAL: return FileLockGap(operation: operation, errno: errno)
    default: throw .system(operation: operation, errno: errno)
    }
  }
}

/// Why a file has no lock of some kind, though no other process has one.
public struct FileLockGap: Equatable, Sendable, CustomStringConvertible {
  /// The call's name.
  let operation: String
  let errno: Int32

  /// For people: `its file system has no locks (flock: Function not implemented (ENOSYS))`.
  public var description: String {
    "its file system has no locks (\(operation): \(Errno(errno)))"
  }
}

/// The system calls of file locks; each returns 0 or an error number. Tests put failures in their
/// place.
struct FileLockCalls: Sendable {
  /// flock(2).
  var lockWhole: @Sendable (_ descriptor: Int32, _ operation: Int32) -> Int32
  /// A shared lock of one byte.
  var shareByte: @Sendable (_ descriptor: Int32, _ byte: Int64) -> Int32
  /// *EAGAIN* if somebody else has any lock of the byte.
  var testByte: @Sendable (_ descriptor: Int32, _ byte: Int64) -> Int32
  /// Between two tries.
  var nap: @Sendable () -> Void = LockPatience.nap

  static let system = FileLockCalls(
    lockWhole: { descriptor, operation in
      retrying { flock(descriptor, operation) }
    },
    shareByte: { descriptor, byte in
      var lock = byteLock(byte, F_RDLCK)
      // SAFETY: a local of the type that the command reads.
      return retrying { unsafe fcntl(descriptor, setCommand, &lock) }
    },
    testByte: { descriptor, byte in
      var lock = byteLock(byte, F_WRLCK)
      // SAFETY: a local of the type that the command reads and fills.
      let error = retrying { unsafe fcntl(descriptor, getCommand, &lock) }
      guard error == 0 else { return error }
      return Int32(lock.l_type) == F_UNLCK ? 0 : EAGAIN
    })

  // F_OFD_GETLK and F_OFD_SETLK, which glibc's headers keep to GNU C.
  private static let getCommand: Int32 = 36
  private static let setCommand: Int32 = 37

  private static func byteLock(_ byte: Int64, _ type: Int32) -> flock {
    var lock = flock()
    lock.l_type = Int16(type)
    lock.l_whence = Int16(SEEK_SET)
    lock.l_start = off_t(byte)
    lock.l_len = 1
    return lock
  }

  /// Lets go of all locks of an open file.
  static func release(_ descriptor: Int32) {
    var all = byteLock(0, F_UNLCK)
    // To the end of all files.
    all.l_len = 0
    // SAFETY: a local of the type that the command reads. What is not locked does no harm.
    _ = retrying { unsafe fcntl(descriptor, setCommand, &all) }
    _ = retrying { flock(descriptor, LOCK_UN) }
  }

  /// Repeats a call that a signal ended; returns 0 or the error number.
  private static func retrying(_ call: () -> Int32) -> Int32 {
    while true {
      if call() >= 0 { return 0 }
      let error = errno
      if error != EINTR { return error }
    }
  }
}
