import Glibc

/// Anonymous memory for a guest, at a multiple of 2 MiB; unmapped when the owner goes.
///
/// Sendable: the pointer never changes, and what it points to is shared with the guest anyway.
@safe final class HostPages: @unchecked Sendable {
  enum Kind {
    /// Nothing but address space until it is written.
    case sparse
    /// Present from the start, in 4 KiB pages.
    case small
    /// Present from the start, in transparent huge pages as far as the host has them.
    case huge
  }

  private static let alignment = 2 << 20

  let byteCount: Int
  private let mapping: UnsafeMutableRawPointer
  private let start: UnsafeMutableRawPointer

  init(byteCount: Int, kind: Kind) throws(BenchmarkError) {
    self.byteCount = byteCount
    let mapping = unsafe mmap(
      nil, byteCount + Self.alignment, PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let mapping = unsafe mapping, unsafe mapping != MAP_FAILED else {
      throw BenchmarkError("cannot map \(binaryUnits(byteCount)): errno \(errno)")
    }
    unsafe self.mapping = mapping
    unsafe start = mapping.alignedUp(toMultipleOf: Self.alignment)
    unsafe madvise(start, byteCount, kind == .huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE)
    guard kind != .sparse else { return }
    guard unsafe madvise(start, byteCount, MADV_POPULATE_WRITE) == 0 else {
      throw BenchmarkError("cannot populate \(binaryUnits(byteCount)): errno \(errno)")
    }
  }

  deinit {
    unsafe munmap(mapping, byteCount + Self.alignment)
  }

  var address: UInt { unsafe UInt(bitPattern: start) }

  func store(_ values: [UInt64], at offset: Int) {
    precondition(offset >= 0 && offset % 8 == 0 && offset + values.count * 8 <= byteCount)
    // SAFETY: inside the mapping and aligned, as just checked.
    let words = unsafe (start + offset).assumingMemoryBound(to: UInt64.self)
    for (index, value) in values.enumerated() { unsafe words[index] = value }
  }

  func store(bytes: [UInt8], at offset: Int) {
    precondition(offset >= 0 && offset + bytes.count <= byteCount)
    // SAFETY: inside the mapping, as just checked.
    unsafe (start + offset).copyMemory(from: bytes, byteCount: bytes.count)
  }
}
