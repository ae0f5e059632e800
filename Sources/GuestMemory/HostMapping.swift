internal import Glibc
internal import HostSystem

/// One region's memory in this process: mapped by `init`, unmapped by `deinit`.
///
/// Aligned to 2 MiB, so that huge pages fit, with inaccessible pages on both sides: an overrun
/// faults, and the kernel keeps the mapping apart from its neighbours in /proc/self/smaps.
///
/// Sendable: every stored property is a constant. The bytes are guest memory, which vCPUs change at
/// any time: copy them, and expect two reads to differ.
@safe
final class HostMapping: @unchecked Sendable {
  /// 2 MiB, the size of a huge page of x86-64.
  static let alignment = 2 << 20

  /// The first byte.
  let base: UnsafeMutableRawPointer
  let byteCount: Int
  let backing: MemoryBacking
  /// The shared memory file, whose offset 0 is `base`; -1 for anonymous memory.
  var descriptor: Int32 { file.rawValue ?? -1 }
  private let file: FileDescriptor?
  private let reservation: Reservation

  /// Maps zeroed memory; nothing is populated.
  ///
  /// - Parameter lifetime: held until it is unmapped.
  /// - Throws: `backingAlignment`, or `allocation` if the host does not give it. Huge pages are
  ///   reserved here, so that no later access can fail for want of one.
  init(
    byteCount: UInt64, backing: MemoryBacking, lifetime: MappingLifetime? = nil
  ) throws(GuestMemoryError) {
    guard byteCount % UInt64(backing.pageByteCount) == 0 else {
      throw .backingAlignment(backing, byteCount: byteCount)
    }
    file = try SharedMemoryFile.make(byteCount: byteCount, backing: backing)
    let reservation = try Reservation(
      byteCount: Int(byteCount), backing: backing, lifetime: lifetime)
    let flags: Int32
    switch backing {
    case .anonymous: flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    case .memfd: flags = MAP_SHARED | MAP_NORESERVE
    case .hugetlb: flags = MAP_SHARED
    }
    let place = unsafe reservation.aligned
    // SAFETY: replaces pages of the reservation, which has no other user.
    let result = unsafe mmap(
      place, Int(byteCount), PROT_READ | PROT_WRITE, flags | MAP_FIXED, file.rawValue ?? -1,
      0)
    let error = errno
    guard unsafe result == place else {
      throw .allocation(backing, operation: "mmap", byteCount: byteCount, errno: error)
    }
    unsafe base = place
    self.byteCount = Int(byteCount)
    self.backing = backing
    self.reservation = reservation
    // Guest memory has no place in a core dump: it is large, and not ours to show. Failure is no
    // harm.
    _ = unsafe madvise(base, self.byteCount, MADV_DONTDUMP)
  }

  /// Bytes from `offset` on. The caller has checked them against the layout.
  func bytes(_ offset: Int, _ byteCount: Int) -> UnsafeMutableRawBufferPointer {
    precondition(
      offset >= 0 && byteCount >= 0 && offset <= self.byteCount - byteCount,
      "\(byteCount) bytes at \(offset) of \(self.byteCount)")
    return unsafe UnsafeMutableRawBufferPointer(start: base + offset, count: byteCount)
  }
}
