/// Where a region of guest RAM is in this process: what registering a memory slot needs.
///
/// Nothing else outside `GuestMemory` may use `hostAddress`. Valid as long as the `GuestMemory`
/// lives.
package struct MappedRegion: Hashable, Sendable {
  /// The first byte of the region.
  package let start: GPA
  /// Its length in bytes.
  package let byteCount: UInt64
  /// HVA of the first byte, 2 MiB aligned.
  package let hostAddress: UInt

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
