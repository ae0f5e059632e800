/// What the host backs guest memory with.
public enum MemoryBacking: String, Sendable, Hashable, CaseIterable {
  /// Private anonymous memory, 4 KiB pages or transparent huge ones. The cheapest to set up.
  case anonymous
  /// A shared memory file (*memfd_create*), 4 KiB pages: can be handed to another process.
  case memfd
  /// A shared memory file of reserved 2 MiB pages (*MFD_HUGETLB*): the fastest, not overcommitted.
  case hugetlb

  /// The word for options and reports: `anonymous`, `memfd`, `hugetlb`.
  public var name: String { rawValue }

  /// The backing with a name; nil for any other word.
  public init?(name: String) {
    self.init(rawValue: name)
  }

  /// The unit the host allocates and discards in, in bytes: regions and discards are multiples of
  /// it.
  public var pageByteCount: Int {
    self == .hugetlb ? 2 << 20 : 4096
  }
}
