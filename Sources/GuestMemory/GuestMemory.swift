internal import Glibc
internal import Synchronization
public import ZeroTracker

/// Guest RAM in this process, and the only way the VMM writes it.
///
/// Every write path marks the tracker's touched map before the first byte changes: loaders,
/// devices, hypercall replies and files read into guest memory alike. Memory starts zero and
/// untouched.
///
/// Safe from any thread, vCPU threads included. The bytes themselves are volatile: vCPUs, and
/// device threads at the guest's request, change them at any moment, also under a span lent by a
/// closure. Copy what must be consistent, check the copy, and expect two reads to differ. Transfers
/// that race give bytes of both, in any mixture; nothing else can go wrong with them. Writes of one
/// thread become visible in their order: each ends with a release store (`WriterGate`), so a device
/// may write an entry of a ring and then what announces it. A write is no full barrier:
/// issue a fence before you read what the guest may have changed.
///
/// Addresses come from guests: a range outside RAM is an error or a nil, never a trap.
public final class GuestMemory: Sendable {
  /// Where RAM is.
  public let layout: GuestMemoryLayout
  /// What the host backs it with.
  public let backing: MemoryBacking
  /// Whether the host allocated every page in advance.
  public let isPreallocated: Bool
  /// Which pages are still zero. Sources are attached to it, answers come from it.
  public let tracker: ZeroTracker
  /// One for each region of the layout, in its order, and then what RAM grows by.
  let mappings: [HostMapping]
  /// Nil if RAM cannot grow.
  let growable: GrowableRegion?
  /// Where they are, once more: an element of an array is retained for every access, a constant is
  /// not. The second is empty if there is one region only.
  private let low: MappedRegion
  private let high: MappedRegion
  let gate = WriterGate()
  /// Off but while the machine moves.
  let writeLog: WriteLog
  /// Gone when all of it is unmapped.
  package let lifetime: MappingLifetime

  /// Maps RAM that is all zero.
  ///
  /// Anonymous memory and memfd are overcommitted: the host allocates a page when it is first used.
  /// For `hugetlb` all pages are reserved here, so that a later use cannot fail.
  ///
  /// - Parameters:
  ///   - layout: where RAM is.
  ///   - backing: what the host backs it with.
  ///   - preallocated: allocates every page now. They are zero, and not touched: still reportable.
  ///   - transparentHugePages: asks for 2 MiB pages (*MADV_HUGEPAGE*) where the kernel would only
  ///     give them on request; it may decline. No effect on `hugetlb`.
  ///   - granularity: memory per bit of the touched map.
  ///   - onPopulated: called again and again while pages are allocated in advance, with the bytes
  ///     that have been so far; false gives up.
  /// - Throws: `GuestMemoryError.backingAlignment` if a region is not a multiple of the backing's
  ///   pages, `.allocation` if the host does not give the memory, `.interrupted`.
  public init(
    layout: GuestMemoryLayout, backing: MemoryBacking = .anonymous, preallocated: Bool = false,
    transparentHugePages: Bool = false, granularity: TrackingGranularity = .default,
    onPopulated: (_ byteCount: UInt64) -> Bool = { _ in true }
  ) throws(GuestMemoryError) {
    do {
      tracker = try ZeroTracker(
        regions: layout.regions.map(\.pages), growth: layout.growth?.pages,
        granularity: granularity)
    } catch {
      // A layout's regions are ascending, disjoint, not empty, and 4 TiB at most.
      preconditionFailure("layout of \(layout.ramByteCount) bytes: \(error)")
    }
    let lifetime = MappingLifetime()
    self.lifetime = lifetime
    var mappings: [HostMapping] = []
    for region in layout.regions {
      mappings.append(
        try HostMapping(byteCount: region.byteCount, backing: backing, lifetime: lifetime))
    }
    var populatedByteCount: UInt64 = 0
    for mapping in mappings {
      if transparentHugePages { mapping.adviseHugePages() }
      guard preallocated else { continue }
      try mapping.populate { byteCount in
        populatedByteCount += UInt64(byteCount)
        return onPopulated(populatedByteCount)
      }
    }
    growable = try layout.growth.map { (region) throws(GuestMemoryError) in
      try GrowableRegion(region, backing: backing, lifetime: lifetime)
    }
    if transparentHugePages { growable?.mapping.adviseHugePages() }
    self.layout = layout
    self.backing = backing
    isPreallocated = preallocated
    self.mappings = mappings + (growable.map { [$0.mapping] } ?? [])
    // What may be added, too: it costs nothing until somebody moves the machine.
    writeLog = WriteLog((layout.regions + (layout.growth.map { [$0] } ?? [])).map(\.pages))
    let mapped = zip(layout.regions, mappings).map(MappedRegion.init)
    low = mapped[0]
    high =
      mapped.count > 1
      ? mapped[1]
      : MappedRegion(start: GuestMemoryLayout.highStart, byteCount: 0, hostAddress: 0)
  }

  /// Registers the process for membarrier(2), which the first `init` does otherwise.
  ///
  /// For programs that care for a quick start: call it before the process makes a thread. It then
  /// costs a system call, later a grace period of the kernel, which is some milliseconds.
  public static func prepareProcess() {
    _ = Membarrier.isAvailable
  }

  /// Whether `byteCount` bytes from `address` on are RAM, all within one region.
  ///
  /// No bytes are RAM where their address is; a negative count never is. Any address is accepted.
  public func isRAM(_ address: GPA, byteCount: Int) -> Bool {
    unsafe bytes(at: address, byteCount) != nil
  }

  /// Where each region of the layout is mapped, for registering memory slots and nothing else.
  package var mappedRegions: [MappedRegion] {
    zip(layout.regions, mappings).map(MappedRegion.init)
  }

  /// Gives RAM to a virtual machine: lends each region's address in this process, and attaches what
  /// sees the guest's writes to it.
  ///
  /// `register` makes one memory slot of each region, and returns the source that sees every write
  /// the guest makes through these slots, from the first one on. With KVM's dirty log that means
  /// `KVM_MEM_LOG_DIRTY_PAGES` when a slot is created, not later:
  ///
  /// ```swift
  /// try memory.registerSlots { regions in
  ///   let slots = regions.enumerated().map { number, region in
  ///     MemorySlot(
  ///       number: UInt32(number), guestPhysicalAddress: region.start.rawValue,
  ///       byteCount: region.byteCount, hostAddress: region.hostAddress)
  ///   }
  ///   for slot in slots { try machine.setMemorySlot(slot, options: .logsDirtyPages) }
  ///   return DirtyLog(of: slots, in: machine)
  /// }
  /// ```
  ///
  /// Call it once, before the guest's first instruction; programs may be loaded before or after.
  /// Keep the memory for as long as the virtual machine exists. Other writers, such as vhost or a
  /// device in another process, are seen by no such source: give them memory by
  /// `claim(at:byteCount:owner:)`.
  ///
  /// - Parameter register: gets the regions in ascending order, as the tracker has them. Nil
  ///   attaches nothing: then no page is ever reported. If it throws, nothing is attached.
  public func registerSlots<E: Error>(
    _ register: (_ regions: [MappedRegion]) throws(E) -> (any WrittenPageSource)?
  ) throws(E) {
    if let source = try register(mappedRegions) { tracker.attach(source: source) }
  }

  /// The bytes for reading; nil if they are not all RAM of one region.
  ///
  /// Inlined always: most callers know the count, and are left with two comparisons.
  @inline(__always)
  func bytes(at address: GPA, _ byteCount: Int) -> UnsafeMutableRawBufferPointer? {
    // SAFETY: self keeps the mappings, and every caller has self until it is done with the bytes.
    unsafe low.bytes(at: address, byteCount) ?? high.bytes(at: address, byteCount)
      ?? addedBytes(at: address, byteCount)
  }

  /// Marks the bytes, then lends them for writing, and notes the write when it is done; nil, and
  /// nothing marked, if they are not all RAM of one region. Every write goes through here.
  @inline(__always)
  func writing<R: ~Copyable, E: Error>(
    at address: GPA, _ byteCount: Int,
    _ body: (UnsafeMutableRawBufferPointer) throws(E) -> R
  ) throws(E) -> R? {
    guard let bytes = unsafe bytes(at: address, byteCount) else { return nil }
    return try gate.write { () throws(E) -> R in
      guard byteCount > 0 else { return try unsafe body(bytes) }
      let pages = address.pages(byteCount: byteCount)
      tracker.markTouched(pages)
      defer { writeLog.add(pages) }
      return try unsafe body(bytes)
    }
  }
}

extension GPA {
  /// The pages that have a byte of `byteCount` bytes from here on, which must be RAM (so that
  /// nothing overflows) and at least one.
  func pages(byteCount: Int) -> PageRange {
    let last = GPA(rawValue &+ UInt64(truncatingIfNeeded: byteCount) &- 1).page
    return PageRange(start: page, pageCount: last.rawValue &- page.rawValue &+ 1)
  }
}
