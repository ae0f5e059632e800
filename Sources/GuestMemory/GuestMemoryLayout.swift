public import ZeroTracker

/// Where RAM lies in guest physical memory: from 0 up to 2 GiB, and the rest from 4 GiB.
///
/// The gap belongs to devices: ECAM, PCI windows, APICs and flash lie between 2 GiB and 4 GiB. This
/// one value is the source for memory slots, e820 and the like, and the tracker's clipping. The
/// first region includes the legacy area 0xA0000–0xFFFFF: it is RAM here, whatever the firmware's
/// tables say.
public struct GuestMemoryLayout: Hashable, Sendable {
  /// One stretch of RAM without a hole.
  public struct Region: Hashable, Sendable {
    /// The first byte; a multiple of 4 KiB.
    public let start: GPA
    /// Its length in bytes; a multiple of 4 KiB, at least one page.
    public let byteCount: UInt64

    /// The first byte above.
    public var end: GPA {
      // Fits: a layout ends below 4 GiB + maximumByteCount.
      GPA(start.rawValue + byteCount)
    }

    /// The region in 4 KiB pages.
    public var pages: PageRange {
      PageRange(start: start.page, pageCount: byteCount / UInt64(GPN.byteCount))
    }
  }

  /// The least RAM: 1 MiB, so that the real-mode address space is all there.
  public static let minimumByteCount: UInt64 = 1 << 20
  /// The most RAM: 4 TiB, well inside the 46 bits of guest physical address that every CPU with
  /// nested paging in use has.
  public static let maximumByteCount: UInt64 = 4 << 40
  /// Where low RAM ends and devices begin: 2 GiB.
  public static let lowEnd = GPA(0x8000_0000)
  /// Where RAM goes on: 4 GiB.
  public static let highStart = GPA(0x1_0000_0000)

  /// RAM in all, in bytes, without what is set aside.
  public let ramByteCount: UInt64
  /// Memory is added by multiples of this: 128 MiB, as Linux takes no less at a time.
  public static let growthUnit: UInt64 = 128 << 20
  /// In at most as many pieces, which are memory slots: KVM has 509 on older kernels.
  private static let maximumPieceCount: UInt64 = 256

  /// What is set aside at the end of low RAM, in bytes: installed, but no RAM of this layout. It is
  /// the machine's to map.
  public let setAsideByteCount: UInt64
  private let lowByteCount: UInt64
  /// One or two regions, ascending.
  public let regions: [Region]
  /// What can be added while the machine runs: the addresses above all RAM, from a multiple of
  /// 128 MiB on. Nil if nothing can.
  public let growth: Region?

  /// Lays out `ramByteCount` bytes of RAM.
  ///
  /// - Parameters:
  ///   - setAsideByteCount: how many of them, at the end of low RAM, belong to no region.
  ///   - growthByteCount: how many may be added to them.
  /// - Throws: `GuestMemoryError.layout` unless the count is a multiple of 4 KiB from 1 MiB to 4
  ///   TiB, and the same without what is set aside; `.growth` unless what may be added is a
  ///   multiple of 128 MiB, and all of it at most 4 TiB.
  public init(
    ramByteCount: UInt64, setAsideByteCount: UInt64 = 0, growthByteCount: UInt64 = 0
  ) throws(GuestMemoryError) {
    let low = min(ramByteCount, Self.lowEnd.rawValue)
    guard (ramByteCount | setAsideByteCount) % UInt64(GPN.byteCount) == 0,
      (Self.minimumByteCount...Self.maximumByteCount).contains(ramByteCount),
      setAsideByteCount <= low - Self.minimumByteCount
    else { throw .layout(byteCount: ramByteCount) }
    self.ramByteCount = ramByteCount - setAsideByteCount
    self.setAsideByteCount = setAsideByteCount
    lowByteCount = low - setAsideByteCount
    var regions = [Region(start: GPA(0), byteCount: lowByteCount)]
    if ramByteCount > low {
      regions.append(Region(start: Self.highStart, byteCount: ramByteCount - low))
    }
    self.regions = regions
    guard growthByteCount.isMultiple(of: Self.growthUnit),
      growthByteCount <= Self.maximumByteCount - ramByteCount
    else { throw .growth(byteCount: growthByteCount) }
    let end = max(regions[regions.count - 1].end.rawValue, Self.highStart.rawValue)
    growth =
      growthByteCount == 0
      ? nil
      : Region(
        start: GPA((end + Self.growthUnit - 1) / Self.growthUnit * Self.growthUnit),
        byteCount: growthByteCount)
  }

  /// By how much memory grows at a time: 128 MiB, and more where that would be too many pieces.
  public var growthStep: UInt64 {
    let least = ((growth?.byteCount ?? 0) + Self.maximumPieceCount - 1) / Self.maximumPieceCount
    return max(least + Self.growthUnit - 1, Self.growthUnit) / Self.growthUnit * Self.growthUnit
  }

  /// The first address above all RAM that there can be.
  public var end: GPA {
    growth?.end ?? regions[regions.count - 1].end
  }

  /// What is set aside; empty if nothing is.
  public var setAside: Range<GPA> {
    // Both end below `lowEnd`.
    GPA(lowByteCount)..<GPA(lowByteCount + setAsideByteCount)
  }

  /// All memory that is installed, by its addresses: the regions, with what is set aside.
  public var installed: [Range<GPA>] {
    var ranges = regions.map { $0.start..<$0.end }
    ranges[0] = GPA(0)..<setAside.upperBound
    return ranges
  }

  /// The region that has all `byteCount` bytes from `address` on, and their offset in it.
  ///
  /// No bytes are contained where their address is. Any values are accepted.
  package func locate(_ address: GPA, byteCount: Int) -> (region: Int, offset: Int)? {
    guard byteCount >= 0 else { return nil }
    // Not by the array of regions: this is asked for every access.
    if address.rawValue < lowByteCount {
      let rest = lowByteCount - address.rawValue
      return UInt64(byteCount) <= rest ? (0, Int(address.rawValue)) : nil
    }
    guard let offset = address.offset(from: Self.highStart), offset < ramByteCount - lowByteCount
    else { return nil }
    let rest = ramByteCount - lowByteCount - offset
    return UInt64(byteCount) <= rest ? (1, Int(offset)) : nil
  }

  /// Whether `byteCount` bytes from `address` on are RAM, all within one region.
  ///
  /// No bytes are contained where their address is; a negative count never is. Any address is
  /// accepted.
  public func contains(_ address: GPA, byteCount: Int) -> Bool {
    locate(address, byteCount: byteCount) != nil
  }
}
