internal import ZeroTracker

// Giving memory back to the host.
extension GuestMemory {
  /// Discards go in pieces of this many bytes, cut at multiples of it in the region: writers are
  /// kept out for one piece at a time, and no chunk of any tracking granularity (32 MiB at most) is
  /// cut.
  private static let pieceByteCount = 64 << 20
  /// How long a piece waits for writers.
  private static let timeoutMilliseconds = 2000

  /// Whether memory goes back to the host when the guest can do without: not what was allocated in
  /// advance, so that it is there when it is needed, nor pages of a reserved pool.
  public var givesPagesBack: Bool { !isPreallocated && backing != .hugetlb }

  /// Gives the host memory of whole pages back; they read as zero and are reportable again.
  ///
  /// The guest may run and even use the pages; it then finds them zero or its own later bytes. Any
  /// thread, but never from within `withMutableBytes`. Reportable again are the chunks of the
  /// tracking granularity that lie wholly in the range, unless claimed, and as far as the source
  /// can forget.
  ///
  /// ## Why no page is reported that is not zero
  /// For each piece, while no VMM writer is between its mark and its last byte (`WriterGate`) and
  /// no answer is being made (the tracker's lock), the source forgets, the kernel discards, and the
  /// chunks become untouched, in this order (`ZeroTracker.markZeroed(_:after:)`). Bytes of earlier
  /// VMM writers are gone with the page; later ones mark again. Guest writes after the discard come
  /// after the forgetting and are noticed. If the discard fails the pages count as written.
  ///
  /// - Parameters:
  ///   - address: a multiple of the backing's page size (4 KiB; `hugetlb` 2 MiB).
  ///   - byteCount: as well; 0 does nothing.
  /// - Throws: `.notRAM`, `.discardAlignment`; `.discardBusy` if writers stay inside for two
  ///   seconds; `.system` if the kernel refuses; `.hugePagesLost`. Pieces before the failing one
  ///   are discarded.
  public func discard(at address: GPA, byteCount: Int) throws(GuestMemoryError) {
    guard let place = locate(address, byteCount: byteCount) else {
      throw .notRAM(address, byteCount: byteCount)
    }
    let unit = backing.pageByteCount
    guard place.offset % unit == 0, byteCount % unit == 0 else {
      throw .discardAlignment(backing, address, byteCount: byteCount)
    }
    for piece in Self.discardPieces(place.offset..<(place.offset + byteCount)) {
      try discardPiece(
        region: place.region, piece, timeoutMilliseconds: Self.timeoutMilliseconds)
    }
  }

  /// The pieces in which these bytes of a region are discarded.
  static func discardPieces(_ bytes: Range<Int>) -> some Sequence<Range<Int>> {
    sequence(state: bytes.lowerBound) { offset in
      guard offset < bytes.upperBound else { return nil }
      let start = offset
      offset = min((start / pieceByteCount + 1) * pieceByteCount, bytes.upperBound)
      return start..<offset
    }
  }

  /// - Parameter bytes: whole pages, a piece at most.
  func discardPiece(
    region: Int, _ bytes: Range<Int>, timeoutMilliseconds: Int
  ) throws(GuestMemoryError) {
    let address = GPA(start(ofRegion: region).rawValue + UInt64(bytes.lowerBound))
    let outcome = gate.discard(timeoutMilliseconds: timeoutMilliseconds) {
      // Afterwards, as with a write; also if it failed half-way.
      defer { writeLog.add(address.pages(byteCount: bytes.count)) }
      return Result { () throws(GuestMemoryError) in
        try tracker.markZeroed(address.pages(byteCount: bytes.count)) {
          () throws(GuestMemoryError) in
          try mappings[region].discard(bytes, at: address)
        }
      }
    }
    guard let outcome else {
      throw .discardBusy(
        address, byteCount: bytes.count, waitedMilliseconds: timeoutMilliseconds)
    }
    try outcome.get()
  }
}
