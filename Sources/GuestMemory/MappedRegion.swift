/// Where a region of guest RAM is in this process: what registering a memory slot needs.
///
/// Valid as long as the `GuestMemory` lives. Lent by `GuestMemory.registerSlots`, for slots and
/// nothing else: what this process writes through `hostAddress` itself is not marked, and may be
/// reported as zero.
public struct MappedRegion: Hashable, Sendable {
  /// The first byte of the region; a multiple of 4 KiB.
  public let start: GPA
  /// Its length in bytes; a multiple of 4 KiB, at least one page.
  public let byteCount: UInt64
  /// HVA of the first byte, 2 MiB aligned.
  public let hostAddress: UInt

  /// The bytes, if they all lie in the region; none do where their address does. Any values are
  /// accepted.
  @inline(__always)
  func bytes(at address: GPA, _ byteCount: Int) -> UnsafeMutableRawBufferPointer? {
    // Wraps below the region, to more than any region has; so does a negative count.
    let offset = address.rawValue &- start.rawValue
    guard offset < self.byteCount,
      UInt64(truncatingIfNeeded: byteCount) <= self.byteCount &- offset
    else { return nil }
    return unsafe UnsafeMutableRawBufferPointer(
      start: UnsafeMutableRawPointer(bitPattern: hostAddress &+ UInt(offset)), count: byteCount)
  }
}

extension MappedRegion {
  init(_ region: GuestMemoryLayout.Region, _ mapping: HostMapping) {
    self.init(
      start: region.start, byteCount: region.byteCount, hostAddress: mapping.hostAddress)
  }
}
