internal import Glibc
internal import Synchronization
internal import ZeroTracker

/// What the host has behind a page.
enum PagePresence {
  /// Nothing: it reads as zero.
  case absent
  /// In this process's page tables: reading it costs nothing but the reading.
  case present
  /// Elsewhere: swapped out, in the file's cache, on the move. Reading it brings it in.
  case elsewhere
}

extension GuestMemory {
  /// Opens what `refine` and `firstNonZeroPage` read, so that they open nothing when they are
  /// called, perhaps by a thread whose filter forbids it. They report it if that fails.
  public func prepareInspection() {
    _ = try? Pagemap.descriptor()
  }
}

extension HostMapping {
  /// Pages looked up with one read of /proc/self/pagemap.
  static let presencePageCount = 4096

  /// What is behind each page of at most `presencePageCount` pages from `offset` on.
  ///
  /// A page that is not mapped is absent if the memory is private and it is not swapped out, and if
  /// a shared file has a hole there. hugetlbfs does not report its holes, and hides a page on the
  /// move: there such a page may be anywhere. Write protection of private memory leaves marks that
  /// look swapped out.
  func presence(_ offset: Int, pageCount: Int) throws(GuestMemoryError) -> [PagePresence] {
    precondition(pageCount <= Self.presencePageCount, "\(pageCount) pages at once")
    let entries = try pagemapEntries(offset, pageCount: pageCount)
    // Bits 63 and 62 (Documentation/admin-guide/mm/pagemap.rst): present, swapped.
    var presence = entries.map { entry -> PagePresence in
      if entry >> 63 != 0 { return .present }
      switch backing {
      case .anonymous: return entry >> 62 != 0 ? .elsewhere : .absent
      // The file knows, not the page table: it has a hole or it has data, be it swapped out.
      case .memfd: return .absent
      case .hugetlb: return .elsewhere
      }
    }
    if backing == .memfd, presence.contains(where: { $0 == .absent }) {
      try findData(offset, &presence)
    }
    return presence
  }

  private func pagemapEntries(
    _ offset: Int, pageCount: Int
  ) throws(GuestMemoryError) -> [UInt64] {
    let pagemap = try Pagemap.descriptor()
    var entries = [UInt64](repeating: 0, count: pageCount)
    let byteCount = pageCount * 8
    let position = off_t((hostAddress + UInt(offset)) / 4096 * 8)
    // SAFETY: the kernel writes at most byteCount bytes, the size of the array.
    let result = unsafe entries.withUnsafeMutableBytes { bytes in
      unsafe pread(pagemap, bytes.baseAddress, byteCount, position)
    }
    let error = errno
    guard result == byteCount else {
      throw .residency(operation: "read \(Pagemap.path)", errno: result < 0 ? error : EIO)
    }
    return entries
  }

  /// Turns absent pages at which the file has data into pages elsewhere.
  private func findData(
    _ offset: Int, _ presence: inout [PagePresence]
  ) throws(GuestMemoryError) {
    let end = offset + presence.count * 4096
    var next = offset
    while next < end {
      guard let data = try seek(next, FileSeek.data), data < end else { return }
      let hole = min(try seek(data, FileSeek.hole) ?? end, end)
      for page in (data - offset) / 4096..<(hole - offset + 4095) / 4096
      where presence[page] == .absent {
        presence[page] = .elsewhere
      }
      next = hole
    }
  }

  /// The next offset of that kind; nil if there is none.
  func seek(_ offset: Int, _ whence: Int32) throws(GuestMemoryError) -> Int? {
    let result = lseek(descriptor, off_t(offset), whence)
    let error = errno
    if result >= 0 { return Int(result) }
    guard error == ENXIO else { throw .residency(operation: "lseek", errno: error) }
    return nil
  }

  /// What a page that does not begin with zero costs of a budget of bytes to read: about a quarter
  /// of one that is read to its end (`scripts/bench look`).
  static let byteCountOfFirstLook = GPN.byteCount / 4

  /// The same as `isZeroPage(offset)`, and takes from `byteCount` what that cost; it may become
  /// negative.
  func isZeroPage(_ offset: Int, reading byteCount: inout Int) -> Bool {
    let beginsWithZero = unsafe bytes(offset, 8).loadUnaligned(as: UInt64.self) == 0
    byteCount -= beginsWithZero ? GPN.byteCount : Self.byteCountOfFirstLook
    return beginsWithZero && isZeroPage(offset)
  }

  /// Whether all 4096 bytes at `offset` are zero. Reads them, whatever that brings in.
  ///
  /// If it says so each byte was, at an instant of its own during the call, even while others
  /// write. So every word is loaded, and once. memcmp(3) does neither: it looks a second time at
  /// the byte at which it found a difference, and if that has gone meanwhile it calls all equal.
  func isZeroPage(_ offset: Int) -> Bool {
    let page = unsafe bytes(offset, 4096)
    // SAFETY: whole words of memory that lives as long as this mapping.
    let words = unsafe page.baseAddress!.assumingMemoryBound(to: Atomic<UInt64>.self)
    var index = 0
    while index < 512 {
      let some =
        unsafe words[index].load(ordering: .relaxed)
        | words[index &+ 1].load(ordering: .relaxed)
        | words[index &+ 2].load(ordering: .relaxed)
        | words[index &+ 3].load(ordering: .relaxed)
      guard some == 0 else { return false }
      index &+= 4
    }
    return true
  }
}

/// /proc/self/pagemap (proc(5)); open as long as the process lives. It needs no privilege: what is
/// kept from unprivileged readers is the frame number.
private enum Pagemap {
  static let path = "/proc/self/pagemap"
  // SAFETY: the path is a C string for the time of the call.
  private static let opened: (descriptor: Int32, error: Int32) = {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    return (descriptor, errno)
  }()

  static func descriptor() throws(GuestMemoryError) -> Int32 {
    guard opened.descriptor >= 0 else {
      throw .residency(operation: "open \(path)", errno: opened.error)
    }
    return opened.descriptor
  }
}

/// *SEEK_DATA* and *SEEK_HOLE* of linux/fs.h, which the C library declares for `_GNU_SOURCE` only.
enum FileSeek {
  static let data: Int32 = 3
  static let hole: Int32 = 4
}
