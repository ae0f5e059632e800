internal import Glibc

/// The file of `run --program`.
enum ProgramFile {
  /// More than any flat program needs; keeps a mistaken path from filling memory.
  static let maximumByteCount = 1 << 30

  static func read(_ path: String) throws(SystemError) -> [UInt8] {
    // SAFETY: the path is lent, terminated, for the call.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("open", path, code: errno) }
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      throw failure("read", path, code: errno)
    }
    guard status.st_mode & S_IFMT != S_IFDIR else {
      throw failure("read", path, code: EISDIR)
    }
    guard status.st_size <= maximumByteCount else {
      throw failure("read", path, code: EFBIG)
    }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    // To the end and not to st_size: pipes have none.
    while bytes.count <= maximumByteCount {
      // SAFETY: the kernel writes at most the buffer's length.
      let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0 {
        if errno == EINTR { continue }
        throw failure("read", path, code: errno)
      }
      if count == 0 { return bytes }
      bytes += buffer[..<count]
    }
    throw failure("read", path, code: EFBIG)
  }

  private static func failure(_ attempt: String, _ path: String, code: Int32) -> SystemError {
    let cure: String? =
      switch code {
      case ENOENT: "check the path"
      case EACCES: "choose a file this user may read"
      case EISDIR: "name a file"
      case EFBIG: "a program may have 1 GiB at most"
      default: nil
      }
    return SystemError("\(attempt) the program \(path)", code: code, cure: cure)
  }
}
