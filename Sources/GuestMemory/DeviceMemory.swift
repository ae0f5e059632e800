internal import Glibc

/// Host memory that a guest sees at an address that is not RAM: flash, or a framebuffer.
///
/// The tracker knows nothing of it: no answer can name it. Safe from any thread; a guest that can
/// write it, and several threads that do, see each other's bytes in any order.
public final class DeviceMemory: Sendable {
  private let mapping: HostMapping

  /// Zeroed memory.
  ///
  /// - Parameter byteCount: at least one page of 4 KiB, and whole ones.
  /// - Throws: `GuestMemoryError` if the host does not give it.
  public init(byteCount: Int) throws(GuestMemoryError) {
    precondition(
      byteCount > 0 && byteCount.isMultiple(of: 4096), "device memory of \(byteCount) bytes")
    mapping = try HostMapping(byteCount: UInt64(byteCount), backing: .anonymous)
  }

  /// Its length in bytes, whole pages of 4 KiB.
  public var byteCount: Int { mapping.byteCount }

  /// HVA of the first byte, valid as long as this lives: what registering a memory slot needs.
  package var hostAddress: UInt { unsafe UInt(bitPattern: mapping.base) }

  /// The bytes from `offset` on. All must be inside: check an offset that a guest chose.
  public func read(at offset: Int, byteCount: Int) -> [UInt8] {
    unsafe Array(mapping.bytes(offset, byteCount))
  }

  /// Calls `body` with the bytes from `offset` on, which others may be changing. All must be
  /// inside.
  public func withBytes<R>(at offset: Int, byteCount: Int, _ body: (RawSpan) -> R) -> R {
    // SAFETY: `mapping.bytes` checks that all lie inside; they are initialised memory of the host,
    // which lives as long as this.
    unsafe body(UnsafeRawBufferPointer(mapping.bytes(offset, byteCount)).bytes)
  }

  /// The byte at `offset`, which must be inside.
  public func byte(at offset: Int) -> UInt8 {
    unsafe mapping.bytes(offset, 1)[0]
  }

  /// The pages of 4 KiB that are not all zero, ascending. What was never touched is not looked at.
  package func nonZeroPages() -> [Int] {
    let all = 0..<byteCount / 4096
    var pages: [Int] = []
    do throws(GuestMemoryError) {
      _ = try mapping.forEachNonZeroPage(all) { page in
        pages.append(page)
        return true
      }
      return pages
    } catch {
      // Without /proc every page is read.
      return all.filter { !mapping.isZeroPage($0 * 4096) }
    }
  }

  /// Zeroes bytes from `offset` on. All must be inside.
  public func clear(at offset: Int, byteCount: Int) {
    // SAFETY: `mapping.bytes` checks that all lie inside; they are initialised memory of the host.
    _ = unsafe mapping.bytes(offset, byteCount).initializeMemory(as: UInt8.self, repeating: 0)
  }

  /// Stores bytes from `offset` on. All must fit.
  public func write(_ bytes: [UInt8], at offset: Int) {
    // SAFETY: `mapping.bytes` checks that as many bytes as there are lie inside.
    unsafe mapping.bytes(offset, bytes.count).copyBytes(from: bytes)
  }
}
