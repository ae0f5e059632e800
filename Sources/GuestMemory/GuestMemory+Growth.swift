internal import HostSystem
internal import Synchronization
internal import ZeroTracker

/// Memory that is no RAM yet, and may become it from its lowest address on.
///
/// Address space is there for all of it from the beginning, and page tables and bits when they are
/// used. What is not added yet is no RAM for anybody: no access, no claim, no answer.
final class GrowableRegion: Sendable {
  /// All that can be added.
  let region: GuestMemoryLayout.Region
  let mapping: HostMapping
  /// Where all of it is.
  let whole: MappedRegion
  /// What has been added. Stored when all that is to be known of it is, so that who reads it may
  /// use the memory.
  private let count = Atomic<UInt64>(0)
  /// Whether what is not added may not be zero. Of the thread whose turn it is.
  private let isLost = Atomic<Bool>(false)
  /// One at a time.
  let turn = Guarded<Void>(())

  init(
    _ region: GuestMemoryLayout.Region, backing: MemoryBacking, lifetime: MappingLifetime
  ) throws(GuestMemoryError) {
    self.region = region
    mapping = try HostMapping(
      byteCount: region.byteCount, backing: backing, lifetime: lifetime)
    whole = MappedRegion(region, mapping)
  }

  var addedByteCount: UInt64 { count.load(ordering: .acquiring) }

  /// What has been added; nil if nothing has.
  var added: GuestMemoryLayout.Region? {
    let byteCount = addedByteCount
    return byteCount == 0
      ? nil : GuestMemoryLayout.Region(start: region.start, byteCount: byteCount)
  }

  /// What comes next; nil if it does not fit.
  func next(_ byteCount: UInt64) -> MappedRegion? {
    let added = addedByteCount
    guard !isLost.load(ordering: .relaxed), byteCount > 0,
      byteCount.isMultiple(of: GuestMemoryLayout.growthUnit),
      byteCount <= region.byteCount - added
    else { return nil }
    return MappedRegion(
      start: GPA(region.start.rawValue + added), byteCount: byteCount,
      hostAddress: whole.hostAddress + UInt(added))
  }

  /// Makes all that is not added zero again; where that fails it is never added.
  func discardRest() {
    let added = Int(addedByteCount)
    do throws(GuestMemoryError) {
      try mapping.discard(added..<mapping.byteCount, at: region.start)
    } catch {
      isLost.store(true, ordering: .relaxed)
    }
  }

  func add(_ piece: MappedRegion) {
    count.store(addedByteCount + piece.byteCount, ordering: .releasing)
  }

  /// The bytes, if they are all of what was added.
  func bytes(at address: GPA, _ byteCount: Int) -> UnsafeMutableRawBufferPointer? {
    guard locate(address, byteCount) != nil else { return nil }
    return unsafe whole.bytes(at: address, byteCount)
  }

  /// Where they lie, if they are all of what was added. Any values are accepted.
  func locate(_ address: GPA, _ byteCount: Int) -> Int? {
    let added = addedByteCount
    guard byteCount >= 0, let offset = address.offset(from: region.start), offset < added,
      UInt64(byteCount) <= added - offset
    else { return nil }
    return Int(offset)
  }
}

// Memory that is added while the guest runs.
extension GuestMemory {
  /// How much has been added, in bytes.
  public var addedByteCount: UInt64 { growable?.addedByteCount ?? 0 }

  /// The pages of what has been added, from the first that may be on.
  package var addedPages: Range<UInt64> {
    let first = layout.growth?.start.page.rawValue ?? 0
    return first..<first + addedByteCount / UInt64(GPN.byteCount)
  }

  /// RAM in all, in bytes, with what has been added.
  public var ramByteCount: UInt64 { layout.ramByteCount + addedByteCount }

  /// All RAM there is now, ascending: the layout's regions, and what has been added as one more.
  public var regions: [GuestMemoryLayout.Region] {
    layout.regions + (growable?.added.map { [$0] } ?? [])
  }

  /// Makes the next `byteCount` bytes of the layout's growth RAM, zero, and reportable like all
  /// else. Any thread, while the guest runs; one call waits for another.
  ///
  /// ## Why no page is reported that is not zero
  /// Nobody could reach the memory before, so it is zero and nothing of it is marked. `register`
  /// lets the guest reach it, in a way that the tracker's source sees from the first write on. Then
  /// the tracker has it; then this process may write it, which marks as everywhere.
  ///
  /// - Parameters:
  ///   - byteCount: a multiple of `GuestMemoryLayout.growthUnit`.
  ///   - register: makes a memory slot of the piece, and has the source see what the guest writes
  ///     to it, before the guest can. If it throws the guest must not reach the piece; then nothing
  ///     is added, and the same piece, zero again, comes next.
  /// - Returns: the piece; nil if there is no room for it.
  public func grow<E: Error>(
    by byteCount: UInt64, _ register: (_ piece: MappedRegion) throws(E) -> Void
  ) throws(E) -> MappedRegion? {
    guard let growable else { return nil }
    return try growable.turn.withLock { (_) throws(E) -> MappedRegion? in
      guard let piece = growable.next(byteCount) else { return nil }
      do throws(E) {
        try register(piece)
      } catch {
        // The guest may have reached it for a moment.
        growable.discardRest()
        throw error
      }
      let pageCount = piece.byteCount / UInt64(GPN.byteCount)
      tracker.grow(to: piece.start.page.advanced(by: pageCount))
      growable.add(piece)
      return piece
    }
  }

  /// Where all that can be added is mapped; nil if nothing can. For a source that has to know.
  package var mappedGrowth: MappedRegion? { growable?.whole }

  /// The region that has all `byteCount` bytes from `address` on, by its number in `mappings`, and
  /// their offset in it.
  func locate(_ address: GPA, byteCount: Int) -> (region: Int, offset: Int)? {
    if let place = layout.locate(address, byteCount: byteCount) { return place }
    return growable?.locate(address, byteCount).map { (layout.regions.count, $0) }
  }

  /// Where a region of `mappings` begins.
  func start(ofRegion number: Int) -> GPA {
    if number < layout.regions.count { return layout.regions[number].start }
    guard let growable else { preconditionFailure("region \(number) of \(layout)") }
    return growable.region.start
  }

  /// For `bytes`: beside its comparisons a call, as most machines have no such memory.
  @inline(never)
  func addedBytes(at address: GPA, _ byteCount: Int) -> UnsafeMutableRawBufferPointer? {
    unsafe growable?.bytes(at: address, byteCount)
  }
}
