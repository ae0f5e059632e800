internal import Glibc

/// Address space without memory, freed by `deinit` with all that was mapped into it.
///
/// Sendable: its properties are constants, and it gives access to no memory.
@safe
final class Reservation: @unchecked Sendable {
  /// A place for the bytes asked for, 2 MiB aligned, with inaccessible pages before and after it.
  let aligned: UnsafeMutableRawPointer
  private let base: UnsafeMutableRawPointer
  private let byteCount: Int
  /// Let go of when all is unmapped, as properties are after `deinit`.
  private let lifetime: MappingLifetime?

  init(
    byteCount wanted: Int, backing: MemoryBacking, lifetime: MappingLifetime?
  ) throws(GuestMemoryError) {
    // Room to align, one guard before (at least a page, up to 2 MiB) and one after.
    let alignment = HostMapping.alignment
    let byteCount = wanted + 2 * alignment + 4096
    // SAFETY: a new mapping at a place of the kernel's choice.
    let result = unsafe mmap(
      nil, byteCount, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    let error = errno
    guard let result = unsafe result, unsafe result != MAP_FAILED else {
      throw .allocation(
        backing, operation: "mmap of address space", byteCount: UInt64(wanted), errno: error)
    }
    unsafe base = result
    self.byteCount = byteCount
    self.lifetime = lifetime
    // The next multiple of 2 MiB at least one page above base: at most 2 MiB + 4 KiB above it.
    unsafe aligned = (result + 4096).alignedUp(toMultipleOf: alignment)
  }

  deinit {
    // SAFETY: the whole reservation, mapped by init; its owner is gone.
    _ = unsafe munmap(base, byteCount)
  }
}
