internal import Glibc
internal import HostSystem

/// Makes the shared memory files that regions are.
enum SharedMemoryFile {
  /// A new, empty file of a size; nil for anonymous memory.
  static func make(
    byteCount: UInt64, backing: MemoryBacking
  ) throws(GuestMemoryError) -> FileDescriptor? {
    let flags: UInt32
    switch backing {
    case .anonymous: return nil
    case .memfd: flags = MemoryABI.memfdCloseOnExec
    case .hugetlb:
      flags = MemoryABI.memfdCloseOnExec | MemoryABI.memfdHugePages | MemoryABI.memfd2MiB
    }
    let file: FileDescriptor
    do throws(Errno) {
      file = try FileDescriptor { MemoryABI.createMemoryFile(name: "guest-ram", flags: flags) }
    } catch {
      throw .allocation(
        backing, operation: "memfd_create", byteCount: byteCount, errno: error.rawValue)
    }
    guard ftruncate(file.rawValue, off_t(byteCount)) == 0 else {
      let error = errno
      throw .allocation(backing, operation: "ftruncate", byteCount: byteCount, errno: error)
    }
    return file
  }
}
