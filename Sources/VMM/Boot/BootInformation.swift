internal import Bytes
internal import ZeroTracker

/// What a program is told in RDI: its vCPUs and its memory map, as firmware tells an operating
/// system.
///
/// Little endian: magic (8 bytes), vCPU count (4), range count (4), then 24 bytes a range: first
/// GPN, page count, kind. Ranges are ascending and disjoint.
struct BootInformation: Sendable {
  enum Kind: UInt64 {
    /// Free.
    case conventional = 1
    /// The program, its stacks, its page tables.
    case inUse = 2
  }

  static let magic: UInt64 = 0x4F46_4E49_544F_4F42
  private static let maximumByteCount = 4096

  let ranges: [(range: PageRange, kind: Kind)]
  let vcpuCount: Int

  /// - Parameter inUse: ascending and disjoint.
  init(regions: [PageRange], inUse: [PageRange], vcpuCount: Int) throws(MachineError) {
    var ranges: [(range: PageRange, kind: Kind)] = []
    for region in regions {
      var next = region.start
      for used in inUse.map({ $0.intersection(region) }) where !used.isEmpty {
        let free = PageRange(start: next, end: used.start)
        if !free.isEmpty { ranges.append((free, .conventional)) }
        ranges.append((used, .inUse))
        next = used.end
      }
      let rest = PageRange(start: next, end: region.end)
      if !rest.isEmpty { ranges.append((rest, .conventional)) }
    }
    guard 16 + ranges.count * 24 <= Self.maximumByteCount else {
      throw .configuration("\(ranges.count) memory ranges do not fit in the boot information page")
    }
    self.ranges = ranges
    self.vcpuCount = vcpuCount
  }

  var encoded: [UInt8] {
    var words = [Self.magic, UInt64(vcpuCount) | UInt64(ranges.count) << 32]
    for (range, kind) in ranges {
      words += [range.start.rawValue, range.pageCount, kind.rawValue]
    }
    return words.littleEndianBytes
  }
}
