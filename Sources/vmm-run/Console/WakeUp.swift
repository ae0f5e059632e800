import Glibc
import Synchronization

/// Wakes a thread that waits in poll(2), again and again.
///
/// A pipe, as the importer sees no eventfd. There is one byte in it at most, so writing never
/// waits.
final class WakeUp: Sendable {
  /// Readable while somebody wants the thread awake.
  let descriptor: Int32
  private let writer: Int32
  private let isAwake = Atomic(false)

  init() throws(SystemError) {
    var ends: [Int32] = [-1, -1]
    // SAFETY: the array has room for the two descriptors and lives for the call.
    guard unsafe pipe(&ends) == 0 else {
      throw SystemError("make a pipe for the console", code: errno)
    }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    descriptor = ends[0]
    writer = ends[1]
  }

  deinit {
    close(descriptor)
    close(writer)
  }

  func wake() {
    guard !isAwake.exchange(true, ordering: .acquiringAndReleasing) else { return }
    var byte: UInt8 = 0
    // SAFETY: one byte, which lives for the call.
    _ = unsafe Glibc.write(writer, &byte, 1)
  }

  /// Takes a wake-up back, if there is one. Not while another thread may call `wake`.
  func clear() {
    guard isAwake.load(ordering: .acquiring) else { return }
    var byte: UInt8 = 0
    // SAFETY: one byte, which lives for the call. It is there, or just about to be.
    while unsafe Glibc.read(descriptor, &byte, 1) < 0 && errno == EINTR {}
    isAwake.store(false, ordering: .releasing)
  }
}
