import Floors
import GuestMemory

/// Writes one buffer to many places of guest memory, one after the other, by the library or by
/// plain C.
struct DeviceWriter: Sendable {
  let guest: GuestMemory
  /// The same memory in this process: where bytes are written decides more about the time than who
  /// does.
  let claimed: ClaimedMemory
  /// The area, in bytes.
  let start: Int
  let areaByteCount: Int
  /// Bytes of one write.
  let byteCount: Int

  /// From one write to the next: a page, so that each marks another bit of a fine map.
  private var stride: Int { max(byteCount, 4096) }

  /// Writes in a round: 64 MiB of 4 KiB pages.
  var count: Int { 16384 }

  func writeGuestMemory() {
    let source = [UInt8](repeating: 0x5A, count: byteCount)
    // SAFETY: an integer has no padding, so every byte is initialised.
    let bytes = unsafe source.span.bytes
    var offset = 0
    for _ in 0..<count {
      do {
        try guest.write(bytes, at: GPA(UInt64(start + offset)))
      } catch {
        preconditionFailure("\(error)")
      }
      offset += stride
      if offset + byteCount > areaByteCount { offset = 0 }
    }
  }

  func copy() {
    let source = [UInt8](repeating: 0x5A, count: byteCount)
    // SAFETY: the area lies in the mapping, which `claimed` keeps.
    unsafe copy_floor(
      UnsafeMutablePointer<UInt8>(bitPattern: claimed.hostAddress + UInt(start))!, areaByteCount,
      source, byteCount, stride, count)
  }
}
