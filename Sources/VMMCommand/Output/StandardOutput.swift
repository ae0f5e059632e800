import Glibc
import HostSystem

/// Standard output for a guest's console: never waits in the kernel, where nothing could end the
/// wait.
final class StandardOutput: Sendable {
  /// A second opening of a terminal or pipe.
  private let own: FileDescriptor?
  private let descriptor: Int32

  /// - Parameter descriptor: another one, in tests; the caller keeps it open.
  init(_ descriptor: Int32 = STDOUT_FILENO) {
    self.descriptor = descriptor
    own = Self.openAgain(descriptor)
  }

  /// Writes for as long as this lives.
  func writer(_ patience: OutputPatience) -> PatientWriter {
    PatientWriter(
      descriptor: own.rawValue ?? descriptor, name: "standard output", policy: .waits(patience),
      neverBlocks: own.rawValue != nil || Self.kind(of: descriptor) == S_IFREG)
  }

  /// A non-blocking opening of our own: to set the flag on the inherited one would set it for other
  /// programs, too. Nil for what never waits, and what cannot be opened again, such as a socket, or
  /// anything without /proc: there a write is made when poll(2) says that there is room.
  private static func openAgain(_ descriptor: Int32) -> FileDescriptor? {
    guard [S_IFCHR, S_IFIFO].contains(kind(of: descriptor)) else { return nil }
    // SAFETY: the path is lent, terminated, for the call.
    return try? FileDescriptor {
      unsafe open("/proc/self/fd/\(descriptor)", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
    }
  }

  private static func kind(of descriptor: Int32) -> mode_t? {
    var status = stat()
    // SAFETY: the structure lives for the call.
    return unsafe fstat(descriptor, &status) == 0 ? status.st_mode & S_IFMT : nil
  }
}
