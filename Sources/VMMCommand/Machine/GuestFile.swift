internal import Devices
internal import Glibc
import HostSystem
internal import MachineSpecification

/// A file that is taken along into the guest as a whole.
struct GuestFile {
  /// `program`: for messages.
  let role: String
  let path: String
  /// More than any needs; keeps a mistaken path from filling memory.
  let maximumByteCount: Int

  static func program(_ path: String) -> GuestFile {
    GuestFile(role: "program", path: path, maximumByteCount: 1 << 30)
  }

  static func firmware(_ path: String) -> GuestFile {
    GuestFile(role: "firmware", path: path, maximumByteCount: FirmwareVolume.maximumByteCount)
  }

  static func variables(_ path: String) -> GuestFile {
    GuestFile(
      role: "firmware variables", path: path, maximumByteCount: FirmwareVolume.maximumByteCount)
  }

  /// One of `FirmwareCatalog`.
  static func firmwareDescriptor(_ path: String) -> GuestFile {
    GuestFile(role: "firmware descriptor", path: path, maximumByteCount: 1 << 20)
  }

  /// Of `--fw-cfg`.
  static func attachment(_ path: String) -> GuestFile {
    GuestFile(role: "file", path: path, maximumByteCount: FirmwareItems.maximumFileByteCount)
  }

  /// The machine of `--config`.
  static func machine(_ path: String) throws(UsageError) -> MachineSpec {
    let bytes: [UInt8]
    do throws(SystemError) {
      bytes = try GuestFile(role: "machine", path: path, maximumByteCount: 1 << 20).read()
    } catch {
      throw .unreadableConfiguration(error.description)
    }
    do throws(MachineSpecError) {
      return try MachineSpec(json: bytes)
    } catch {
      throw .invalidConfiguration(file: path, error)
    }
  }

  /// The machine of `restore`.
  static func savedMachine(_ path: String) throws(UsageError) -> Snapshot {
    do throws(SnapshotError) {
      return try SnapshotFiles(directory: path).read()
    } catch {
      throw .unreadableConfiguration(error.description)
    }
  }

  func read() throws(SystemError) -> [UInt8] {
    let file: FileDescriptor
    do throws(Errno) {
      // SAFETY: the path is lent, terminated, for the call.
      file = try FileDescriptor {
        unsafe HostPath(argument: path).withCString { unsafe open($0, O_RDONLY | O_CLOEXEC) }
      }
    } catch {
      throw failure("open", code: error.rawValue)
    }
    var status = stat()
    guard unsafe fstat(file.rawValue, &status) == 0 else {
      throw failure("read", code: errno)
    }
    guard status.st_mode & S_IFMT != S_IFDIR else {
      throw failure("read", code: EISDIR)
    }
    guard status.st_size <= maximumByteCount else {
      throw failure("read", code: EFBIG)
    }
    var bytes: [UInt8] = []
    // Room for the end of a small file, too: what is never used need not be made.
    var buffer = [UInt8](repeating: 0, count: min(Int(status.st_size) + 4096, 1 << 16))
    // To the end and not to st_size: pipes have none.
    while bytes.count <= maximumByteCount {
      // SAFETY: the kernel writes at most the buffer's length.
      let count = unsafe Glibc.read(file.rawValue, &buffer, buffer.count)
      if count < 0 {
        if errno == EINTR { continue }
        throw failure("read", code: errno)
      }
      if count == 0 { return bytes }
      bytes += buffer[..<count]
    }
    throw failure("read", code: EFBIG)
  }

  private func failure(_ attempt: String, code: Int32) -> SystemError {
    let cure: String? =
      switch code {
      case ENOENT: "check the path"
      case EACCES: "choose a file this user may read"
      case EISDIR: "name a file"
      case EFBIG: "it may have \(ByteCount(UInt64(maximumByteCount))) at most"
      default: nil
      }
    return SystemError("\(attempt) the \(role) \(path)", code: code, cure: cure)
  }
}
