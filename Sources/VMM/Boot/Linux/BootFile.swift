public import Devices
internal import Glibc
internal import GuestMemory
internal import HostSystem
internal import KVM

/// A kernel or an initrd: an open file or bytes, read piece by piece.
///
/// A file is read straight into guest memory, so a large initrd is never in this process twice.
public final class BootFile: Sendable {
  private enum Contents: ~Copyable, Sendable {
    case bytes([UInt8])
    case file(FileDescriptor)
  }

  /// What messages call it, `kernel /boot/vmlinuz`.
  public let name: String
  /// Its length; a file that is truncated later fails to load.
  public let byteCount: Int
  private let contents: Contents

  /// Bytes as a file.
  public init(_ bytes: [UInt8], name: String) {
    self.name = name
    byteCount = bytes.count
    contents = .bytes(bytes)
  }

  /// Opens a regular file.
  ///
  /// - Parameter role: what it is to be, for messages: `kernel` or `initrd`.
  /// - Throws: `MachineError.kernel` with what the system answered.
  public init(path: HostPath, role: String) throws(MachineError) {
    let name = "\(role) \(path)"
    // SAFETY: the path is lent, terminated, for the call. O_NONBLOCK: a pipe must not block here.
    let file: FileDescriptor
    do throws(Errno) {
      file = try FileDescriptor {
        unsafe path.withCString { unsafe open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
      }
    } catch {
      throw Self.unreadable(name, error)
    }
    var status = stat()
    guard unsafe fstat(file.rawValue, &status) == 0 else {
      throw Self.unreadable(name, .current)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw .kernel(.unreadable(file: name, reason: "it is not a regular file; copy it to one"))
    }
    self.name = name
    byteCount = Int(status.st_size)
    contents = .file(file)
  }

  /// The same, by a path that is text.
  public convenience init(path: String, role: String) throws(MachineError) {
    try self.init(path: HostPath(path), role: role)
  }

  /// A copy of at most `byteCount` bytes from `offset` on: fewer at the file's end, none behind it.
  func bytes(at offset: Int, byteCount: Int) throws(MachineError) -> [UInt8] {
    guard offset >= 0, byteCount > 0, offset < self.byteCount else { return [] }
    let count = min(byteCount, self.byteCount - offset)
    switch contents {
    case .bytes(let bytes): return Array(bytes[offset..<(offset + count)])
    case .file(let file):
      var result = [UInt8](repeating: 0, count: count)
      var done = 0
      while done < count {
        // SAFETY: the kernel writes at most the rest of the array.
        let answer = unsafe result.withUnsafeMutableBytes { bytes in
          let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[done...])
          return unsafe pread(file.rawValue, rest.baseAddress, rest.count, off_t(offset + done))
        }
        let error = Errno.current
        if answer < 0 && error.rawValue != EINTR { throw Self.unreadable(name, error) }
        if answer == 0 { break }
        done += max(0, answer)
      }
      return Array(result[..<done])
    }
  }

  /// Copies bytes into guest memory; all of them are in the file and in RAM, as planned.
  func load(
    offset: Int, byteCount: Int, into guest: GuestMemory, at address: GPA
  ) throws(MachineError) {
    try memory { () throws(GuestMemoryError) in
      switch contents {
      case .bytes(let bytes):
        // SAFETY: an integer has no padding, so every byte is initialised.
        try unsafe guest.write(
          bytes.span.extracting(offset..<(offset + byteCount)).bytes, at: address)
      case .file(let file):
        try guest.readFile(
          descriptor: file.rawValue, fileOffset: off_t(offset), byteCount: byteCount, at: address)
      }
    }
  }

  private static func unreadable(_ name: String, _ error: Errno) -> MachineError {
    .kernel(
      .unreadable(file: name, reason: error.description))
  }
}
