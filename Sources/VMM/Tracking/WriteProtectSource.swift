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
  /// What RAM grows by; nil if it does not.
  private let growth: MappedRegion?

  /// - Parameters:
  ///   - regions: those of the tracker, in its order.
  ///   - growth: what may be added, all of it.
  init(_ regions: [MappedRegion], growth: MappedRegion?) throws(MachineError) {
    self.regions = regions
    self.growth = growth
    do {
      protection = try WriteProtection(
        regions.map(\.hostRange), later: growth.map { [$0.hostRange] } ?? [])
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

  /// Protects memory that is added, before the guest has it.
  func protect(_ piece: MappedRegion) throws(MachineError) {
    do {
      try protection.protect(piece.hostRange)
    } catch {
      throw .hostPages(error)
    }
  }

  func readWrittenPages(of region: PageRange, into words: inout MutableSpan<UInt64>) throws {
    if let growth, growth.start.page == region.start {
      let range = HostRange(
        start: growth.hostAddress, byteCount: Int(region.pageCount) * GPN.byteCount)
      return try protection.readWrittenPages(of: range, into: &words)
    }
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
