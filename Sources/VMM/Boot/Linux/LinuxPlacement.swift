internal import GuestMemory

/// Finds places in RAM for a kernel and its initrd, one after the other.
struct LinuxPlacement {
  private static let lowEnd = GuestMemoryLayout.lowEnd.rawValue
  private static let pageByteCount: UInt64 = 4096

  private var free: FreeMemory
  private let ramByteCount: UInt64

  /// Everything from 1 MiB to the end of low RAM but the ACPI tables is free.
  init(_ map: E820Map, layout: GuestMemoryLayout) {
    free = FreeMemory(map)
    free.take(0..<E820Map.legacyEnd)
    ramByteCount = layout.ramByteCount
  }

  /// Takes all memory that a bzImage needs: at its preferred address, or else above it.
  ///
  /// Never below it, although the protocol allows that: Linux unpacks itself to its preferred
  /// address if it is loaded lower, and needs as much memory there.
  mutating func place(_ image: BzImage) throws(LinuxImageError) -> Range<UInt64> {
    let end = image.preferredAddress + image.initByteCount
    let preferred = image.preferredAddress..<end
    if free.isFree(preferred) {
      free.take(preferred)
      return preferred
    }
    if image.isRelocatable,
      let range = free.lowest(
        byteCount: image.initByteCount, alignment: image.alignment,
        from: image.preferredAddress)
    {
      free.take(range)
      return range
    }
    throw .placement(
      what: "the kernel needs \(image.initByteCount) bytes (init_size) at GPA"
        + " \(GPA(preferred.lowerBound)) (pref_address)"
        + (image.isRelocatable ? " or above" : ", as it is not relocatable")
        + ", which the guest's \(ramByteCount) bytes of memory do not have free below 2 GiB",
      cure: cure(neededEnd: end, instead: "give a kernel that needs less or is linked lower"))
  }

  /// Takes the memory of each segment.
  mutating func place(_ image: PVHImage) throws(LinuxImageError) -> Range<UInt64> {
    for segment in image.segments {
      guard free.isFree(segment.addresses) else {
        throw .placement(
          what: "the kernel's segment at GPA \(segment.addresses.hexadecimal) is not in free"
            + " memory below 2 GiB of the guest's \(ramByteCount) bytes",
          cure: cure(
            neededEnd: segment.addresses.upperBound,
            instead: "give a kernel that is linked to lie below 2 GiB"))
      }
      free.take(segment.addresses)
    }
    // Reading the image checked that one segment has the entry.
    return
      (image.segments.first?.addresses.lowerBound ?? 0)..<(image.segments.last?.addresses.upperBound
      ?? 0)
  }

  /// Takes whole pages for an initrd, as high as possible and wholly below `limit`.
  mutating func place(
    _ initrd: BootFile, above kernel: Range<UInt64>, limit: UInt64
  ) throws(LinuxImageError) -> Range<UInt64> {
    guard initrd.byteCount > 0 else {
      throw .placement(what: "\(initrd.name) is empty", cure: "give another, or none")
    }
    let byteCount = UInt64(initrd.byteCount)
    let paged = byteCount.roundedUp(to: Self.pageByteCount)
    // A limit inside a page is that page's start for this purpose.
    let end = min(limit, Self.lowEnd) & ~(Self.pageByteCount - 1)
    guard
      let range = free.highest(
        byteCount: paged, alignment: Self.pageByteCount, from: E820Map.legacyEnd, below: end)
    else {
      let needed = kernel.upperBound.roundedUp(to: Self.pageByteCount) + paged
      throw .placement(
        what: "\(initrd.name) of \(byteCount) bytes does not fit beside the kernel at GPA"
          + " \(kernel.hexadecimal) in the guest's \(ramByteCount) bytes of memory below GPA"
          + " \(GPA(end))",
        cure: needed <= end
          ? cure(neededEnd: needed, instead: "give a smaller one") : "give a smaller one")
    }
    free.take(range)
    return range.lowerBound..<(range.lowerBound + byteCount)
  }

  /// More memory, if that helps.
  private func cure(neededEnd: UInt64, instead: String) -> String {
    guard neededEnd <= Self.lowEnd else { return instead }
    guard neededEnd > ramByteCount else { return "move the ACPI tables" }
    return "give the guest at least \((neededEnd + (1 << 20) - 1) >> 20) MiB of memory"
  }
}
