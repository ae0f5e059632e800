import Devices
import Glibc
import HostSystem

/// Writing text with write(2), for everything this program prints.
///
/// Not stdio: its buffers are lost when the process traps or is killed, and a full disk is noticed
/// only at exit, when it is too late.
enum OutputFile {
  static func writeStandardOutput(_ text: String) throws(SystemError) {
    try write(text, to: STDOUT_FILENO, named: "standard output")
  }

  /// Writes all of `text`, in one write(2) if it is short and the system takes all of it.
  static func write(
    _ text: String, to descriptor: Int32, named name: String,
    policy: PatientWriter.Policy = .waits(.ofProcess)
  ) throws(SystemError) {
    var writer = PatientWriter(descriptor: descriptor, name: name, policy: policy)
    switch writer.write(Array(text.utf8)) {
    case .written: return
    case .lost: throw SystemError("write \(name)", code: EAGAIN, cure: "its reader has stopped")
    case .failed(let error): throw error
    }
  }

  /// Replaces the file at `path` in one step, so that a reader sees the old or the new contents,
  /// and a failed run leaves the old.
  ///
  /// What is not a regular file (`/dev/stdout`, a pipe) is written in place: replacing it would
  /// put a file where the device was.
  static func replace(_ path: String, with text: String) throws(SystemError) {
    guard isReplaceable(path) else {
      let file = try open(path, O_WRONLY | O_CLOEXEC, named: path)
      return try write(text, to: file.rawValue, named: path)
    }
    let temporary = "\(path).\(getpid()).tmp"
    let file = try open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, named: path)
    do throws(SystemError) {
      try write(text, to: file.rawValue, named: path)
    } catch {
      remove(temporary)
      throw error
    }
    do throws(SystemError) {
      try move(temporary, to: path)
    } catch {
      remove(temporary)
      throw error
    }
  }

  /// Gives a file another name, in place of what has it.
  static func move(_ draft: String, to path: String) throws(SystemError) {
    // SAFETY: both paths are lent, terminated, for the call.
    let result = unsafe HostPath(argument: draft).withCString { from in
      unsafe HostPath(argument: path).withCString { unsafe rename(from, $0) }
    }
    guard result == 0 else { throw SystemError("write \(path)", code: errno) }
  }

  /// Makes a directory of this user alone: what a guest does is nobody else's.
  ///
  /// - Returns: false if something has the name already.
  static func makeDirectory(_ path: String) throws(SystemError) -> Bool {
    // SAFETY: the path is lent, terminated, for the call.
    let result = unsafe HostPath(argument: path).withCString { unsafe mkdir($0, 0o700) }
    let code = errno
    guard result == 0 || code == EEXIST else {
      throw SystemError(
        "make the directory \(path)", code: code,
        cure: code == ENOENT ? "make the directory that it is to be in" : nil)
    }
    return result == 0
  }

  /// Removes a file, if it is there.
  static func remove(_ path: String) {
    // SAFETY: the path is lent, terminated, for the call.
    _ = unsafe HostPath(argument: path).withCString { unsafe unlink($0) }
  }

  /// - Parameter mode: of a new file, narrowed by the user's umask.
  static func open(
    _ path: String, _ flags: Int32, mode: mode_t = 0o666, named name: String
  ) throws(SystemError) -> FileDescriptor {
    do throws(Errno) {
      // SAFETY: the path is lent, terminated, for the call.
      return try FileDescriptor {
        unsafe HostPath(argument: path).withCString { unsafe Glibc.open($0, flags, mode) }
      }
    } catch {
      throw SystemError("write \(name)", code: error.rawValue)
    }
  }

  /// Nothing there yet, or a regular file under this very name: a rename would not write through a
  /// symbolic link but replace the link.
  private static func isReplaceable(_ path: String) -> Bool {
    var status = stat()
    // SAFETY: the structure lives for the call; the path is lent, terminated.
    let result = unsafe HostPath(argument: path).withCString { unsafe lstat($0, &status) }
    guard result == 0 else { return errno == ENOENT }
    return status.st_mode & S_IFMT == S_IFREG
  }
}
