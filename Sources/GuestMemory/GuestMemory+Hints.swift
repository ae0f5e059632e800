internal import Glibc
internal import HostPages
public import ZeroTracker

// What a guest says of the memory that it needs. Any pages may be named: what is no RAM is left
// out, and so is what was claimed. A hint may come to nothing, so nothing here throws.
extension GuestMemory {
  /// How long a piece that is given back waits for writers: the guest waits with it, and keeps what
  /// is in use.
  private static let waitMilliseconds = 10

  /// Gives the host what of these pages can be given, as `discard` does; they read as zero and are
  /// reportable again.
  ///
  /// Any thread, but never from within `withMutableBytes`. It does nothing unless `givesPagesBack`,
  /// and ends early when writers stay inside, or when the kernel refuses.
  ///
  /// - Parameters:
  ///   - pages: of any number.
  ///   - goesOn: asked before each piece of at most 64 MiB.
  /// - Returns: bytes given back, or found not to be allocated.
  @discardableResult
  public func giveBack(_ pages: PageRange, while goesOn: () -> Bool = { true }) -> UInt64 {
    guard givesPagesBack else { return 0 }
    var byteCount: UInt64 = 0
    for run in tracker.unclaimed(pages) {
      guard let place = place(of: run) else { continue }
      for piece in Self.discardPieces(place.bytes) {
        guard goesOn(),
          (try? discardPiece(
            region: place.region, piece, timeoutMilliseconds: Self.waitMilliseconds)) != nil
        else { return byteCount }
        byteCount += UInt64(piece.count)
      }
    }
    return byteCount
  }

  /// Tells the host that these pages will not be used soon (*MADV_COLD*, Linux 5.4): it takes them
  /// first when memory is short. Their bytes stay. Any thread.
  ///
  /// - Returns: bytes of RAM among them.
  @discardableResult
  public func cool(_ pages: PageRange) -> UInt64 {
    advise(pages, MemoryAdvice.cold, limit: .max)
  }

  /// Has the host allocate pages that will be used soon, or bring them back from swap
  /// (*MADV_POPULATE_WRITE*, Linux 5.14). Any thread.
  ///
  /// - Parameter limit: for how many bytes at most; the rest of the pages is left alone.
  /// - Returns: bytes of RAM that were asked for.
  @discardableResult
  public func warm(_ pages: PageRange, limit: UInt64) -> UInt64 {
    advise(pages, MemoryAdvice.populateForWriting, limit: limit)
  }

  private func advise(_ pages: PageRange, _ advice: Int32, limit: UInt64) -> UInt64 {
    guard backing != .hugetlb else { return 0 }
    var left = limit
    for run in tracker.unclaimed(pages) where left > 0 {
      guard let place = place(of: run) else { continue }
      let count = Int(clamping: min(UInt64(place.bytes.count), left))
      mappings[place.region].advise(place.bytes.lowerBound, count, advice)
      left -= UInt64(count)
    }
    return limit - left
  }

  /// Where pages of one region lie.
  private func place(of pages: PageRange) -> (region: Int, bytes: Range<Int>)? {
    // Fits: the pages are RAM, of which there are 4 TiB at most.
    let byteCount = Int(pages.pageCount) * GPN.byteCount
    guard let start = GPA(pages.start),
      let place = locate(start, byteCount: byteCount)
    else { return nil }
    return (place.region, place.offset..<(place.offset + byteCount))
  }
}

extension HostMapping {
  /// Advice that changes no byte; the kernel may decline.
  fileprivate func advise(_ offset: Int, _ byteCount: Int, _ advice: Int32) {
    let bytes = unsafe bytes(offset, byteCount)
    // SAFETY: pages of this mapping.
    _ = unsafe madvise(bytes.baseAddress, byteCount, advice)
  }
}
