import Glibc
import GuestMemory
import VMM
import ZeroTracker

/// The arena's bytes around `GuestMemory`: for a writer that is wrong on purpose, and for looking.
///
/// Sendable: the pointer never changes, and `memory` keeps what it points to.
@safe
struct RawArena: @unchecked Sendable {
  private let memory: GuestMemory
  private let base: UnsafeMutableRawPointer
  private static let zero = [UInt8](repeating: 0, count: 4096)

  init(_ memory: GuestMemory) {
    let region = memory.mappedRegions[0]
    precondition(region.byteCount >= StormLayout.memoryByteCount)
    self.memory = memory
    // SAFETY: the arena lies in the region, as just checked.
    unsafe base = UnsafeMutableRawPointer(
      bitPattern: region.hostAddress + UInt(StormLayout.arena.rawValue))!
  }

  /// Writes without a mark.
  func store(_ value: UInt64, page: Int, offset: Int) {
    precondition((0..<StormLayout.arenaPageCount).contains(page) && (0...4088).contains(offset))
    // SAFETY: within the arena, as just checked.
    unsafe base.storeBytes(of: value, toByteOffset: page * 4096 + offset, as: UInt64.self)
  }

  /// Whether all bytes of a page are zero.
  func isZero(page: Int) -> Bool {
    precondition((0..<StormLayout.arenaPageCount).contains(page))
    // SAFETY: a page of the arena, and as many bytes of zero.
    return unsafe Self.zero.withUnsafeBytes {
      unsafe memcmp(base + page * 4096, $0.baseAddress!, 4096) == 0
    }
  }

  /// The page as the tracker names it.
  func pages(_ page: Int) -> PageRange {
    PageRange(start: StormLayout.address(ofPage: page).page, pageCount: 1)
  }
}
