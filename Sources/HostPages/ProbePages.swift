internal import Glibc

/// A few private pages of this process, mapped to see what the running kernel does with them.
/// Unmapped at the end of their scope.
@safe
struct ProbePages: ~Copyable {
  let range: HostRange
  private let base: UnsafeMutableRawPointer

  init(count: Int) throws(HostPagesError) {
    let byteCount = count * Int(HostRange.pageByteCount)
    // SAFETY: new memory at a place of the kernel's choice.
    let mapping = unsafe mmap(
      nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    let error = errno
    guard let mapping = unsafe mapping, unsafe mapping != MAP_FAILED else {
      throw .call(operation: "mmap \(byteCount) bytes", errno: error, cure: nil)
    }
    unsafe base = mapping
    range = HostRange(start: UInt(bitPattern: mapping), byteCount: byteCount)
  }

  deinit {
    // SAFETY: exactly what was mapped, and no longer used.
    _ = unsafe munmap(base, range.byteCount)
  }

  /// Stores a byte to a page.
  func write(toPage page: Int) {
    precondition(page < range.pageCount)
    // SAFETY: inside the mapping.
    unsafe base.storeBytes(
      of: 1, toByteOffset: page * Int(HostRange.pageByteCount), as: UInt8.self)
  }
}
