internal import Glibc

@testable internal import GuestMemory

/// A file without a name on a disk, for code that wants a path.
final class MemoryFile {
  private let descriptor: Int32

  init() {
    descriptor = MemoryABI.createMemoryFile(name: "fuzz", flags: MemoryABI.memfdCloseOnExec)
    require(descriptor >= 0, "memfd_create: error \(errno)")
  }

  var path: String { "/proc/self/fd/\(descriptor)" }

  /// Replaces what is in it; the rest up to `byteCount` reads zero and takes no memory.
  func set(_ bytes: [UInt8], byteCount: Int) {
    require(ftruncate(descriptor, 0) == 0, "ftruncate: error \(errno)")
    require(ftruncate(descriptor, byteCount) == 0, "ftruncate: error \(errno)")
    let count = unsafe bytes.withUnsafeBytes { bytes in
      // SAFETY: the kernel reads the array's bytes.
      unsafe pwrite(descriptor, bytes.baseAddress, bytes.count, 0)
    }
    require(count == bytes.count, "pwrite: error \(errno)")
  }
}
