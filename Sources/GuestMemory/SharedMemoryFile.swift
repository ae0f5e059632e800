internal import Glibc

/// The descriptor of a new shared memory file; closed unless released. -1 for anonymous memory.
struct SharedMemoryFile: ~Copyable {
  let descriptor: Int32

  init(byteCount: UInt64, backing: MemoryBacking) throws(GuestMemoryError) {
    let flags: UInt32
    switch backing {
    case .anonymous:
      descriptor = -1
      return
    case .memfd:
      flags = MemoryABI.memfdCloseOnExec
    case .hugetlb:
      flags = MemoryABI.memfdCloseOnExec | MemoryABI.memfdHugePages | MemoryABI.memfd2MiB
    }
    let descriptor = MemoryABI.createMemoryFile(name: "guest-ram", flags: flags)
    let error = errno
    guard descriptor >= 0 else {
      throw .allocation(backing, operation: "memfd_create", byteCount: byteCount, errno: error)
    }
    guard ftruncate(descriptor, off_t(byteCount)) == 0 else {
      let error = errno
      _ = close(descriptor)
      throw .allocation(backing, operation: "ftruncate", byteCount: byteCount, errno: error)
    }
    self.descriptor = descriptor
  }

  deinit {
    if descriptor >= 0 { _ = close(descriptor) }
  }

  /// Hands the descriptor over to the caller.
  consuming func release() -> Int32 {
    let descriptor = descriptor
    discard self
    return descriptor
  }
}
