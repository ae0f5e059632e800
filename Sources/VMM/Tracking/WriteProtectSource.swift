internal import GuestMemory
internal import HostPages
internal import ZeroTracker

/// Write protection of the host's mapping as the source of written pages.
///
/// It sees every writer that goes through this process's page tables: the guest, this process, and
/// the kernel for others. What was written before `arm` is the touched map's. Whoever pinned pages
/// before, or writes through another mapping, must claim.
///
/// Thread-safe: the tracker calls it one call at a time.
final class WriteProtectSource: WrittenPageSource {
  private let protection: WriteProtection
  private let regions: [MappedRegion]

  /// - Parameter regions: those of the tracker, in its order.
  init(_ regions: [MappedRegion]) throws(MachineError) {
    self.regions = regions
    do {
      protection = try WriteProtection(regions.map(\.hostRange))
    } catch {
      throw .hostPages(error)
    }
  }

  /// Protects all pages.
  func arm() throws(MachineError) {
    do {
      try protection.arm()
    } catch {
      throw .hostPages(error)
    }
  }

  func readWrittenPages(of region: PageRange, into words: inout MutableSpan<UInt64>) throws {
    guard
      let mapped = regions.first(where: {
        $0.start.page == region.start && $0.byteCount / UInt64(GPN.byteCount) == region.pageCount
      })
    else {
      throw MachineError.configuration("no mapping for pages \(region)")
    }
    try protection.readWrittenPages(of: mapped.hostRange, into: &words)
  }

  func stop() throws {
    try protection.end()
  }

  /// Nothing needs forgetting: a discarded page is neither present nor swapped out, and only such
  /// pages are asked for. A write after the discard makes it present again, and not protected.
  func forget(_ range: PageRange) -> Bool {
    true
  }
}

extension MappedRegion {
  fileprivate var hostRange: HostRange {
    HostRange(start: hostAddress, byteCount: Int(byteCount))
  }
}
