internal import Glibc
internal import HostSystem

/// A file or block device that one machine has for itself, or several have to read (`FileLocks`).
///
/// The locks are advisory, as all are, and end with the process. Safe from any thread.
final class LockedFile: Sendable {
  /// Why a file cannot be had.
  enum Failure: Error {
    /// `operation` is the call's name.
    case system(operation: String, errno: Int32)
    case locked
    /// It is neither a file nor a block device.
    case kind
  }

  private let file: FileDescriptor
  private let isReadOnly: Bool
  private let lockCalls: FileLockCalls
  /// When it was opened, in bytes.
  let byteCount: UInt64
  /// The locks that its file system does not have; nil if it has all.
  let lockGap: FileLockGap?

  /// Opens and locks what is there.
  ///
  /// - Parameters:
  ///   - isLocked: false to lock it later.
  ///   - lockCalls: the system calls of the locks.
  init(
    path: HostPath, isReadOnly: Bool, isLocked: Bool = true, lockCalls: FileLockCalls = .system
  ) throws(Failure) {
    self.isReadOnly = isReadOnly
    self.lockCalls = lockCalls
    // Without O_NONBLOCK a FIFO would keep the caller until somebody writes to it.
    let mode = (isReadOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK
    // SAFETY: the path is lent, terminated, for the call.
    do throws(Errno) {
      file = try FileDescriptor { unsafe path.withCString { unsafe Glibc.open($0, mode) } }
    } catch {
      throw .system(operation: "open", errno: error.rawValue)
    }
    try Self.checkKind(file.rawValue)
    lockGap =
      isLocked
      ? try FileLocks.take(file.rawValue, isReadOnly: isReadOnly, calls: lockCalls) : nil
    byteCount = try Self.size(file.rawValue)
  }

  /// Open as long as self is there.
  var descriptor: Int32 { file.rawValue }

  /// Takes the locks of a file that was opened without, or has let go of them.
  func lock() throws(Failure) {
    _ = try FileLocks.take(file.rawValue, isReadOnly: isReadOnly, calls: lockCalls)
  }

  /// Lets go of the locks: somebody else may have them now.
  func unlock() { FileLockCalls.release(file.rawValue) }

  private static func checkKind(_ descriptor: Int32) throws(Failure) {
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      throw .system(operation: "fstat", errno: errno)
    }
    let kind = status.st_mode & S_IFMT
    guard kind == S_IFREG || kind == S_IFBLK else { throw .kind }
  }

  private static func size(_ descriptor: Int32) throws(Failure) -> UInt64 {
    // fstat tells no size of a block device; its end does.
    let end = lseek(descriptor, 0, SEEK_END)
    guard end >= 0 else { throw .system(operation: "lseek", errno: errno) }
    return UInt64(end)
  }

  /// Copies bytes from `offset` on; fewer at the file's end.
  func read(at offset: UInt64, byteCount: Int) throws(Failure) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: byteCount)
    var done = 0
    while done < byteCount {
      // SAFETY: the kernel writes at most the rest of the array.
      let result = unsafe bytes.withUnsafeMutableBytes { bytes in
        let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[done...])
        return unsafe pread(
          descriptor, rest.baseAddress, rest.count, off_t(clamping: offset + UInt64(done)))
      }
      let error = errno
      if result < 0 && error != EINTR { throw .system(operation: "pread", errno: error) }
      if result == 0 { break }
      done += max(0, result)
    }
    return Array(bytes[..<done])
  }

  /// Writes all bytes from `offset` on.
  func write(_ bytes: [UInt8], at offset: UInt64) throws(Failure) {
    var done = 0
    while done < bytes.count {
      // SAFETY: the kernel reads at most the rest of the array.
      let result = unsafe bytes.withUnsafeBytes { bytes in
        let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
        return unsafe pwrite(
          descriptor, rest.baseAddress, rest.count, off_t(clamping: offset + UInt64(done)))
      }
      let error = result == 0 ? ENOSPC : errno
      if result <= 0 && error != EINTR { throw .system(operation: "pwrite", errno: error) }
      done += max(0, result)
    }
  }

  /// Returns when all writes that returned before survive a loss of power.
  func flush() throws(Failure) {
    while fdatasync(descriptor) != 0 {
      let error = errno
      if error != EINTR { throw .system(operation: "fdatasync", errno: error) }
    }
  }
}
