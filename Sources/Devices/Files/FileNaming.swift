internal import Glibc

/// Gives a complete file its name, in the same directory, unless something has that name already.
enum FileNaming {
  /// - Parameter calls: the system calls.
  /// - Returns: 0; EEXIST if something has the name; another error number.
  static func give(
    _ path: HostPath, to draft: HostPath, calls: FileNamingCalls = .system
  ) -> Int32 {
    let error = calls.link(draft, path)
    if error == 0 || error == EEXIST { return error }
    // A file system without hard links: FAT, and many in user space. They answer EPERM, ENOSYS,
    // EOPNOTSUPP, EMLINK and others, so all errors count, and the second way finds real ones again.
    switch calls.renameExclusively(draft, path) {
    case EINVAL, ENOSYS, EOPNOTSUPP: break
    case let error: return error
    }
    // And one that cannot rename exclusively, either. What somebody else makes between the two
    // calls is replaced by the same bytes.
    return calls.exists(path) ? EEXIST : calls.rename(draft, path)
  }
}

/// The system calls of `FileNaming`; each returns 0 or an error number. Tests put failures in their
/// place.
struct FileNamingCalls: Sendable {
  /// link(2).
  var link: @Sendable (_ from: HostPath, _ to: HostPath) -> Int32
  /// renameat2(2) with *RENAME_NOREPLACE*.
  var renameExclusively: @Sendable (_ from: HostPath, _ to: HostPath) -> Int32
  /// rename(2).
  var rename: @Sendable (_ from: HostPath, _ to: HostPath) -> Int32
  /// access(2).
  var exists: @Sendable (_ path: HostPath) -> Bool

  static let system = FileNamingCalls(
    // SAFETY: the paths are lent, terminated, for the calls.
    link: { from, to in errorNumber(unsafe with(from, to) { unsafe Glibc.link($0, $1) }) },
    renameExclusively: { from, to in
      errorNumber(
        unsafe with(from, to) { unsafe renameat2(AT_FDCWD, $0, AT_FDCWD, $1, noReplace) })
    },
    rename: { from, to in errorNumber(unsafe with(from, to) { unsafe Glibc.rename($0, $1) }) },
    exists: { path in unsafe path.withCString { unsafe access($0, F_OK) } == 0 })

  /// *RENAME_NOREPLACE* of linux/fs.h.
  private static let noReplace: UInt32 = 1

  private static func with(
    _ from: HostPath, _ to: HostPath,
    _ call: (UnsafePointer<CChar>, UnsafePointer<CChar>) -> Int32
  ) -> Int32 {
    unsafe from.withCString { from in unsafe to.withCString { unsafe call(from, $0) } }
  }

  private static func errorNumber(_ result: Int32) -> Int32 {
    result == 0 ? 0 : errno
  }
}

/// renameat2(2). Its declaration is behind `_GNU_SOURCE`, which the importer does not define; the
/// symbol is there.
@_silgen_name("renameat2")
private func renameat2(
  _ fromDirectory: Int32, _ from: UnsafePointer<CChar>, _ toDirectory: Int32,
  _ to: UnsafePointer<CChar>, _ flags: UInt32
) -> Int32
