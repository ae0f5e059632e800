// Huge pages after write protection split them.
extension GuestMemory {
  /// Asks the host to put 2 MiB pages together again where all memory is present
  /// (*MADV_COLLAPSE*, Linux 6.1).
  ///
  /// Stretches with absent pages are left alone: collapsing would allocate them. Any thread; while
  /// the guest runs it waits now and then. What the kernel declines stays as it is.
  package func collapseIntoHugePages() {
    guard backing != .hugetlb else { return }
    for (region, mapping) in zip(regions, mappings) {
      mapping.collapsePresentPages(Int(region.byteCount))
    }
  }
}

extension HostMapping {
  /// - Parameter end: up to this offset.
  fileprivate func collapsePresentPages(_ end: Int) {
    let byteCount = Self.alignment
    for offset in stride(from: 0, through: end - byteCount, by: byteCount) {
      guard let presence = try? presence(offset, pageCount: byteCount / 4096),
        presence.allSatisfy({ $0 == .present })
      else { continue }
      collapse(offset, byteCount)
    }
  }
}
