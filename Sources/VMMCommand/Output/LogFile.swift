import Glibc
import HostSystem
internal import MachineSpecification

/// A file to which a run adds: a trace, or the output of a serial port; or one that it writes anew.
///
/// Opening changes nothing of what is there. It is emptied when nothing can be refused any more,
/// and only if no other process has it: it may be the disk of another machine. Each write goes to
/// the end, wherever that is then.
final class LogFile: Sendable {
  /// Why a file cannot take a run's output.
  enum Failure: Error, Equatable, CustomStringConvertible {
    case system(SystemError)
    /// Another program has locked it: a machine's disk, for instance.
    case inUse(path: String)
    case blockDevice(path: String)

    var description: String {
      switch self {
      case .system(let error): error.description
      case .inUse(let path):
        "cannot write \(path): another program uses it, perhaps as a disk; choose another file"
      case .blockDevice(let path):
        "cannot write \(path): it is a block device, a disk perhaps; choose a file"
      }
    }
  }

  let path: String
  private let file: FileDescriptor
  /// Whether it is a file, and not a pipe or a device.
  let isRegular: Bool
  private let keepsContents: Bool

  /// Opens the file, or creates it, and locks it.
  ///
  /// - Parameter isRewritten: for `replace`; nothing is to be added then.
  init(_ option: LogFileSpec, isRewritten: Bool = false) throws(Failure) {
    path = option.file
    let flags = O_WRONLY | O_CREAT | O_CLOEXEC | (isRewritten ? 0 : O_APPEND)
    do throws(SystemError) {
      // Not to wait for the other end of a pipe, nor to make a terminal the controlling one.
      file = try OutputFile.open(path, flags | O_NONBLOCK | O_NOCTTY, named: path)
    } catch {
      guard error.code == ENXIO else { throw .system(error) }
      throw .system(
        SystemError(error.attempt, code: ENXIO, cure: "start the program that reads it first"))
    }
    var status = stat()
    // SAFETY: the structure lives for the call, which cannot fail for an open descriptor.
    _ = unsafe fstat(file.rawValue, &status)
    let kind = status.st_mode & S_IFMT
    isRegular = kind == S_IFREG
    let isStandard = Self.isStandard(status)
    keepsContents = option.appends || !isRegular || isStandard
    if kind == S_IFBLK { throw .blockDevice(path: path) }
    // Others may share what is standard output, and have it already.
    let descriptor = file.rawValue
    if isRegular, !isStandard, !LockPatience.take({ Self.lock(descriptor) }) {
      throw .inUse(path: path)
    }
  }

  /// Open as long as self is there.
  var descriptor: Int32 { file.rawValue }

  /// Empties the file, unless it is in append mode. Call it before the first write.
  func begin() throws(SystemError) {
    guard !keepsContents else { return }
    try truncate(to: 0)
  }

  private func truncate(to byteCount: Int) throws(SystemError) {
    while ftruncate(descriptor, byteCount) != 0 {
      let code = errno
      guard code == EINTR else { throw SystemError("empty \(path)", code: code) }
    }
  }

  /// Writes to the file for as long as this lives.
  func writer(_ patience: OutputPatience) -> PatientWriter {
    PatientWriter(descriptor: descriptor, name: path, policy: .waits(patience), neverBlocks: true)
  }

  /// Writes the file anew, in place. A disk that is full is found out before anything of what was
  /// there is lost. What is no file gets the bytes after those before.
  ///
  /// A reader in the middle of it sees some of both; so does one after a crash.
  func replace(with bytes: [UInt8], _ patience: OutputPatience) throws(SystemError) {
    guard !keepsContents else { return try write(bytes, patience) }
    let oldByteCount = lseek(descriptor, 0, SEEK_END)
    let missing = bytes.count - Int(max(oldByteCount, 0))
    if missing > 0 {
      do throws(SystemError) {
        try write([UInt8](repeating: 0, count: missing), patience)
      } catch {
        _ = ftruncate(descriptor, oldByteCount)
        throw error
      }
    }
    _ = lseek(descriptor, 0, SEEK_SET)
    try write(bytes, patience)
    try truncate(to: bytes.count)
  }

  private func write(_ bytes: [UInt8], _ patience: OutputPatience) throws(SystemError) {
    var writer = writer(patience)
    switch writer.write(bytes) {
    case .written: break
    case .lost: throw SystemError("write \(path)", code: ETIMEDOUT)
    case .failed(let error): throw error
    }
  }

  /// Cuts off the last bytes, the part of a line that a full disk left.
  func removeLast(_ byteCount: Int) {
    guard isRegular, byteCount > 0 else { return }
    let end = lseek(descriptor, 0, SEEK_END)
    if end >= byteCount { _ = ftruncate(descriptor, end - byteCount) }
  }

  /// Whether it is the file of standard output or error, as `/dev/stdout` may be: what is there
  /// already is this program's.
  private static func isStandard(_ status: stat) -> Bool {
    [STDOUT_FILENO, STDERR_FILENO].contains { standard in
      var other = stat()
      // SAFETY: the structure lives for the call.
      return unsafe fstat(standard, &other) == 0 && other.st_dev == status.st_dev
        && other.st_ino == status.st_ino
    }
  }

  /// False if another program has a lock of either kind: flock(2), as disks of this program have,
  /// or of bytes (fcntl(2)), as those of QEMU have.
  private static func lock(_ descriptor: Int32) -> Bool {
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      let code = errno
      if code == EWOULDBLOCK { return false }
      // Other errors mean that the file system has no locks.
      if code != EINTR { break }
    }
    var lock = Glibc.flock()
    lock.l_type = Int16(F_WRLCK)
    lock.l_whence = Int16(SEEK_SET)
    // F_OFD_GETLK, which glibc's headers keep to GNU C. Length 0 is the whole file.
    // SAFETY: a local of the type that the command reads and fills.
    guard unsafe fcntl(descriptor, 36, &lock) == 0 else { return true }
    return Int32(lock.l_type) == F_UNLCK
  }
}
