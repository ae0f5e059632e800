internal import Glibc
internal import HostSystem

extension RawImageStore {
  /// Makes an image that is all zero and takes no space, unless there is a file with bytes in it.
  ///
  /// - Parameter byteCount: its size; whole sectors.
  /// - Throws: `BlockStoreError.open`.
  public static func makeImage(at path: HostPath, byteCount: UInt64) throws(BlockStoreError) {
    let file: FileDescriptor
    do throws(Errno) {
      // SAFETY: the path is lent, terminated, for the call.
      file = try FileDescriptor {
        unsafe path.withCString { unsafe open($0, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o644) }
      }
    } catch {
      guard error.rawValue != EEXIST else { return try growEmptyFile(path, byteCount) }
      throw .open(path: path.description, operation: "create", errno: error.rawValue)
    }
    guard ftruncate(file.rawValue, off_t(clamping: byteCount)) == 0 else {
      let error = errno
      // SAFETY: the path is lent, terminated, for the call.
      _ = unsafe path.withCString { unsafe unlink($0) }
      throw .open(path: path.description, operation: "ftruncate", errno: error)
    }
  }

  /// What is left if the process ended between the two calls above.
  private static func growEmptyFile(
    _ path: HostPath, _ byteCount: UInt64
  ) throws(BlockStoreError) {
    var status = stat()
    // SAFETY: the structure lives for the call; the path is lent, terminated.
    let isEmpty = unsafe path.withCString { path in
      unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && status.st_size == 0
    }
    guard isEmpty else { return }
    // SAFETY: as above.
    guard unsafe path.withCString({ unsafe truncate($0, off_t(clamping: byteCount)) }) == 0 else {
      throw .open(path: path.description, operation: "truncate", errno: errno)
    }
  }
}
