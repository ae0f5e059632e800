internal import Glibc
internal import HostSystem

/// What went wrong with guest memory on the host's side, or an address the caller had to check.
public enum GuestMemoryError: Error, Equatable, Sendable {
  /// The RAM size is not a multiple of 4 KiB from 1 MiB to 4 TiB.
  case layout(byteCount: UInt64)
  /// What may be added to RAM is not a multiple of 128 MiB, or makes it more than 4 TiB.
  case growth(byteCount: UInt64)
  /// A region is not a multiple of the backing's pages.
  case backingAlignment(MemoryBacking, byteCount: UInt64)
  /// The bytes are not all RAM of one region.
  case notRAM(GPA, byteCount: Int)
  /// A discard does not begin and end at pages of the backing.
  case discardAlignment(MemoryBacking, GPA, byteCount: Int)
  /// A discard gave up waiting for writers that were still writing.
  case discardBusy(GPA, byteCount: Int, waitedMilliseconds: Int)
  /// A discard left 2 MiB pages without a reservation, and others took them: the guest's next use
  /// of them would fail.
  case hugePagesLost(GPA, byteCount: Int, errno: Int32)
  /// The host does not give the memory. `operation` is the call's name.
  case allocation(MemoryBacking, operation: String, byteCount: UInt64, errno: Int32)
  /// The caller did not want the memory any more before all of it was allocated.
  case interrupted
  /// A file ended before all bytes were transferred.
  case fileEnded(GPA, byteCount: Int, transferredByteCount: Int)
  /// Bytes of saved memory are not those that were saved.
  case savedPages(GPA, byteCount: Int)
  /// A call on existing memory failed. `operation` is the call's name.
  case system(operation: String, GPA, byteCount: Int, errno: Int32)
  /// How much memory is resident cannot be read.
  case residency(operation: String, errno: Int32)
}

extension GuestMemoryError: CustomStringConvertible {
  /// What was attempted, with which values, what the system answered, and what to do; one line.
  public var description: String {
    switch self {
    case .layout(let byteCount):
      return "guest memory of \(byteCount) bytes: give a multiple of 4 KiB from 1 MiB to 4 TiB"
    case .growth(let byteCount):
      return "guest memory that grows by \(byteCount) bytes: give a multiple of 128 MiB, and at "
        + "most 4 TiB in all"
    case .backingAlignment(let backing, let byteCount):
      return "\(backing.name) guest memory of \(byteCount) bytes: "
        + "give a multiple of \(backing.pageByteCount >> 20) MiB, or another backing"
    case .notRAM(let address, let byteCount):
      return "access to \(hex(byteCount)) bytes at GPA \(address): not all RAM of one region"
    case .discardAlignment(let backing, let address, let byteCount):
      return "discard of \(hex(byteCount)) bytes at GPA \(address): give multiples of "
        + "\(backing.pageByteCount >> 10) KiB (\(backing.name))"
    case .discardBusy(let address, let byteCount, let waited):
      return "discard of \(hex(byteCount)) bytes at GPA \(address): devices are still writing "
        + "after \(waited) ms; try again"
    case .hugePagesLost(let address, let byteCount, let errno):
      return "reserving 2 MiB pages again after a discard of \(hex(byteCount)) bytes at GPA "
        + "\(address): \(Errno(errno)); do not let the guest run on, and give the VMM its own pages"
    case .allocation(let backing, let operation, let byteCount, let errno):
      return "\(operation) of \(byteCount) bytes of \(backing.name) guest memory: \(Errno(errno)); "
        + cure(backing, byteCount, errno)
    case .interrupted:
      return "work on guest memory was interrupted"
    case .fileEnded(let address, let byteCount, let transferred):
      return "transfer of \(hex(byteCount)) bytes between a file and GPA \(address): "
        + "the file ended after \(hex(transferred)); give a larger file or fewer bytes"
    case .savedPages(let address, let byteCount):
      return "saved memory: the \(hex(byteCount)) bytes of GPA \(address) have changed since; use "
        + "another copy of the file"
    case .system(let operation, let address, let byteCount, let errno):
      return "\(operation) of \(hex(byteCount)) bytes at GPA \(address): \(Errno(errno))"
    case .residency(let operation, let errno):
      return "resident guest memory: \(operation): \(Errno(errno)); mount /proc"
    }
  }

  private func hex(_ byteCount: Int) -> String {
    byteCount < 0 ? "\(byteCount)" : "0x" + String(byteCount, radix: 16)
  }

  private func cure(_ backing: MemoryBacking, _ byteCount: UInt64, _ errno: Int32) -> String {
    if let limit = Errno(errno).exceededLimit { return "raise the limit of \(limit)" }
    guard Errno(errno).isOutOfMemory else { return "the kernel must offer \(backing.name) memory" }
    switch backing {
    case .anonymous:
      return "give less memory, free some, or relax /proc/sys/vm/overcommit_memory and ulimit -v"
    case .memfd:
      return "give less memory, free some, or relax ulimit -v"
    case .hugetlb:
      let pages = (byteCount + (2 << 20) - 1) / (2 << 20)
      return "reserve \(pages) free 2 MiB pages: "
        + "echo N > /proc/sys/vm/nr_hugepages, N = those in use + \(pages)"
    }
  }
}

extension Errno {
  fileprivate var isOutOfMemory: Bool {
    rawValue == ENOMEM || rawValue == ENOSPC || rawValue == EAGAIN
  }

  /// The limit of this process that was in the way, if it was one that `ulimit` knows.
  fileprivate var exceededLimit: String? {
    switch rawValue {
    case EMFILE, ENFILE: "open files (ulimit -n)"
    case EFBIG: "file sizes (ulimit -f)"
    default: nil
    }
  }
}
