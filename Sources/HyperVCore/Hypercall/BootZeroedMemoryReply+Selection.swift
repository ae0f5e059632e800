extension BootZeroedMemoryReply {
  /// The reply a guest may safely get from a provider's ranges.
  ///
  /// A guest takes each page told here as zero without looking, so a provider's slip must not reach
  /// it: the page (GPN) that holds the reply itself is cut out, and ranges that are empty or leave
  /// the GPA space are dropped rather than repaired. The rest goes largest first, ranges of one size
  /// in the provider's order, and is cut at 255.
  public init(zeroedRanges: [BootZeroedRange], excludingPage replyPage: UInt64) {
    let safe = zeroedRanges.flatMap { $0.excluding(page: replyPage) }
    // The position breaks ties: the standard sort does not promise to be stable.
    let ordered = safe.enumerated().sorted { left, right in
      left.element.pageCount != right.element.pageCount
        ? left.element.pageCount > right.element.pageCount
        : left.offset < right.offset
    }
    self.init(ordered.lazy.map(\.element))
  }
}
