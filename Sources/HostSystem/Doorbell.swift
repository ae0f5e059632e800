internal import CLinux
internal import Glibc

/// An eventfd(2) that others ring, the kernel among them, and one thread waits for in poll(2).
///
/// Any thread. `Event` is for threads of this process alone, and cheaper.
package final class Doorbell: Sendable {
  private let file: FileDescriptor

  /// - Throws: when the process has no more descriptors.
  package init() throws(Errno) {
    file = try FileDescriptor(clinux_eventfd)
  }

  /// Readable when it was rung.
  package var descriptor: Int32 { file.rawValue }

  /// Rings it. Never waits.
  package func ring() {
    var one: UInt64 = 1
    // SAFETY: eight bytes, which live for the call. A counter that is full is rung already.
    _ = unsafe write(file.rawValue, &one, MemoryLayout<UInt64>.size)
  }

  /// Takes back what was rung. Look at what is to be done after it.
  package func clear() {
    var count: UInt64 = 0
    // SAFETY: eight bytes, which live for the call. It never waits.
    _ = unsafe read(file.rawValue, &count, MemoryLayout<UInt64>.size)
  }
}
