internal import Glibc
package import HostSystem
internal import Synchronization

/// swtpm, started for a machine, with its state in a directory of its own.
///
/// The directory is locked while it runs; what is in it is swtpm's alone. It ends with the thread
/// that started it, the main thread, however that ends. Any thread, except where a method says
/// otherwise.
public final class SoftwareTPM: Sendable {
  public let emulator: TPMEmulator
  package let process: ChildProcess
  private let directory: HostPath
  /// The directory, open for its lock until `stop`.
  private let file: Mutex<FileDescriptor?>
  private let descriptor: Int32

  /// Where the program is; nil if it is not installed.
  public static var program: String? { ChildProcess.find("swtpm") }

  /// Makes the directory if it is missing, and starts the program: before guest memory is mapped.
  ///
  /// - Parameters:
  ///   - waits: another process has the directory; this one takes it by `takeDirectory`, and then
  ///     its state by the emulator's `transferState`.
  ///   - onFailure: gets one line if it fails later, once.
  public init(
    directory: HostPath, waits: Bool = false, onFailure: @escaping @Sendable (String) -> Void
  ) throws(TPMEmulatorError) {
    guard let program = Self.program else { throw .notInstalled }
    let path = String(decoding: directory.bytes, as: UTF8.self)
    // Its options are lists with commas, which nothing escapes.
    guard Array(path.utf8) == directory.bytes, !path.contains(",") else {
      throw .directory(directory.description, problem: "needs a name in UTF-8 without commas")
    }
    let file = try Self.makeAndOpen(directory)
    descriptor = file.rawValue
    self.directory = directory
    self.file = Mutex(file)
    if !waits { try Self.lock(descriptor, directory) }
    let ends: (Int32, Int32)
    do throws(Errno) {
      ends = try UnixSocket.pair()
    } catch {
      throw .system("make a socket for swtpm", error)
    }
    let control = FileDescriptor(taking: ends.0)
    let peer = FileDescriptor(taking: ends.1)
    do throws(Errno) {
      process = try ChildProcess(
        program,
        [
          "socket", "--tpm2", "--tpmstate", "dir=\(path),mode=0600", "--ctrl",
          "type=unixio,clientfd=3", "--terminate",
        ], inheriting: [peer.rawValue], output: .standardError)
    } catch {
      throw .system("start \(program)", error)
    }
    emulator = try TPMEmulator(
      control: control, name: "swtpm with its state in \(directory)", waits: waits,
      onFailure: onFailure)
  }

  /// Takes the directory of one that waits. Any thread.
  ///
  /// - Throws: `.inUse` while another machine has it.
  public func takeDirectory() throws(TPMEmulatorError) {
    try Self.lock(descriptor, directory)
  }

  /// Has the emulator end itself, unless it waits still, and gives the directory up. Any thread;
  /// `stop` is still to come.
  func letGoOfDirectory() {
    if !emulator.isWaiting { emulator.shutDown() }
    flock(descriptor, LOCK_UN)
  }

  /// Ends it, and gives the directory up.
  public func stop() {
    // A signal between the close of its socket and its end would still kill it.
    if emulator.shutDown() { _ = process.wait(seconds: 10) }
    process.stop(seconds: 10)
    // Not by flock(2), which only a machine that may move is allowed in its sandbox.
    file.withLock { $0 = nil }
  }

  private static func makeAndOpen(
    _ directory: HostPath
  ) throws(TPMEmulatorError) -> FileDescriptor {
    // SAFETY: the path is lent, terminated, for the calls.
    if unsafe directory.withCString({ unsafe mkdir($0, 0o700) }) != 0 {
      let error = Errno.current
      guard error == Errno(EEXIST) else {
        throw .directory(directory.description, problem: "cannot be made: \(error)")
      }
    }
    return try open(directory)
  }

  private static func lock(
    _ descriptor: Int32, _ directory: HostPath
  ) throws(TPMEmulatorError) {
    let isLocked = LockPatience.take { () throws(Never) in
      // A file system without locks has swtpm's own alone.
      flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK
    }
    guard isLocked else { throw .inUse(directory: directory.description) }
  }

  private static func open(
    _ directory: HostPath
  ) throws(TPMEmulatorError) -> FileDescriptor {
    do throws(Errno) {
      // SAFETY: the path is lent, terminated, for the call.
      return try FileDescriptor {
        unsafe directory.withCString {
          unsafe Glibc.open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        }
      }
    } catch {
      throw .directory(directory.description, problem: "cannot be opened: \(error)")
    }
  }
}

extension TPMEmulator {
  /// Joins an emulator that runs, at its control socket.
  public convenience init(
    joining path: HostPath, onFailure: @escaping @Sendable (String) -> Void
  ) throws(TPMEmulatorError) {
    let name = "at \(path)"
    let control: FileDescriptor
    do throws(Errno) {
      control = try UnixSocket.connected(to: path.bytes)
    } catch {
      throw .system("connect to the TPM emulator \(name)", error)
    }
    try self.init(control: control, name: name, onFailure: onFailure)
  }
}
