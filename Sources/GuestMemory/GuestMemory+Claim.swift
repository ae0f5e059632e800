internal import ZeroTracker

// Memory lent to writers that are not tracked.
extension GuestMemory {
  /// Lends memory to a writer that neither this type nor the tracker's source sees: a device of
  /// another process or of the kernel, I/O through pinned pages. None of it is ever reported again.
  ///
  /// Whole chunks of the tracking granularity are withheld, before this returns. There is no way
  /// back, as the end of such a writer cannot be seen. Any thread.
  ///
  /// - Parameters:
  ///   - address: the first byte.
  ///   - byteCount: how many bytes, all in one region.
  ///   - owner: the writer's name, for reports: `vhost-net`.
  /// - Throws: `GuestMemoryError.notRAM`; nothing is claimed then.
  public func claim(
    at address: GPA, byteCount: Int, owner: String
  ) throws(GuestMemoryError) -> ClaimedMemory {
    guard let place = locate(address, byteCount: byteCount) else {
      throw .notRAM(address, byteCount: byteCount)
    }
    if byteCount > 0 { tracker.claim(address.pages(byteCount: byteCount), owner: owner) }
    return ClaimedMemory(
      guestMemory: self, start: address, byteCount: byteCount,
      hostAddress: mappings[place.region].hostAddress + UInt(place.offset))
  }
}

/// Guest memory that was claimed, with its address in this process.
///
/// Having one is the proof that the range is withheld from every answer: only `GuestMemory.claim`
/// makes it. It keeps the mapping alive.
public struct ClaimedMemory: Sendable {
  private let guestMemory: GuestMemory
  /// The first byte.
  public let start: GPA
  /// Its length in bytes.
  public let byteCount: Int
  /// HVA of the first byte.
  public let hostAddress: UInt

  init(guestMemory: GuestMemory, start: GPA, byteCount: Int, hostAddress: UInt) {
    self.guestMemory = guestMemory
    self.start = start
    self.byteCount = byteCount
    self.hostAddress = hostAddress
  }
}
