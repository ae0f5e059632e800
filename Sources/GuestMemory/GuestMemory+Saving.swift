internal import Glibc
internal import HostSystem
public import ZeroTracker

/// Pages that follow each other and are not all zero, in a file of saved memory: at the offset that
/// is their GPA.
public struct SavedPages: Hashable, Sendable {
  public var pages: PageRange
  /// `PageChecksum` of their bytes.
  public var checksum: UInt64

  public init(pages: PageRange, checksum: UInt64) {
    self.pages = pages
    self.checksum = checksum
  }
}

// Guest memory saved to a sparse file, and restored. What is zero is a hole there and takes no
// time: memory that nobody populated is not even looked at.
extension GuestMemory {
  /// Writes all pages that are not zero, each at its GPA. Neither the guest nor a device may write
  /// meanwhile. Any thread; what it reads has to be opened by `prepareInspection`.
  ///
  /// - Parameters:
  ///   - descriptor: of a regular file, empty, open for writing.
  ///   - goesOn: asked again and again; false gives up.
  /// - Returns: what was written, ascending.
  /// - Throws: `GuestMemoryError.interrupted`, `.system`, `.residency`.
  public func save(
    to descriptor: Int32, goesOn: () -> Bool
  ) throws(GuestMemoryError) -> [SavedPages] {
    var saved: [SavedPages] = []
    for region in regions {
      var run: PageRange?
      func end() throws(GuestMemoryError) {
        if let run { saved.append(try save(run, to: descriptor)) }
      }
      var isInterrupted = false
      func mayGoOn() -> Bool {
        isInterrupted = !goesOn()
        return !isInterrupted
      }
      try forEachNonZeroPage(in: region.pages, readsHidden: true, goesOn: mayGoOn) {
        (page) throws(GuestMemoryError) in
        if let before = run, before.end == page, before.pageCount < Self.longestRun {
          run = PageRange(start: before.start, pageCount: before.pageCount + 1)
        } else {
          try end()
          run = PageRange(start: page, pageCount: 1)
        }
        return true
      }
      guard !isInterrupted else { throw .interrupted }
      try end()
    }
    return saved
  }
  /// Pages that are written, and have a checksum, together: 16 MiB.
  private static let longestRun: UInt64 = 4096

  /// Pages of one region.
  private func save(
    _ pages: PageRange, to descriptor: Int32
  ) throws(GuestMemoryError) -> SavedPages {
    let address = GPA(pages.start.rawValue << 12)
    let byteCount = Int(pages.pageCount) * GPN.byteCount
    try writeFile(
      descriptor: descriptor, fileOffset: off_t(address.rawValue), byteCount: byteCount,
      at: address)
    return SavedPages(pages: pages, checksum: checksum(at: address, byteCount))
  }

  /// Of bytes that were just transferred, and so are RAM.
  private func checksum(at address: GPA, _ byteCount: Int) -> UInt64 {
    guard let bytes = unsafe bytes(at: address, byteCount) else {
      preconditionFailure("\(byteCount) bytes at \(address) are no RAM any more")
    }
    // SAFETY: the mapping lives as long as self.
    return unsafe PageChecksum.value(of: UnsafeRawBufferPointer(bytes))
  }

  /// Reads pages that were saved into memory that is still zero; all of them are marked as
  /// touched. Several threads read, where there are processors for them.
  ///
  /// - Parameters:
  ///   - saved: what `save` returned; as it comes from a file, any values are accepted.
  ///   - descriptor: of that file, open for reading.
  ///   - goesOn: asked again and again, by any of the threads; false gives up.
  /// - Throws: `GuestMemoryError.notRAM` for pages that are no RAM here, `.fileEnded`, `.system`,
  ///   `.savedPages` for bytes that are not those that were saved, `.interrupted`. Memory is of no
  ///   use then.
  public func restore(
    _ saved: [SavedPages], from descriptor: Int32, goesOn: @Sendable () -> Bool
  ) throws(GuestMemoryError) {
    adviseHugePages(under: saved)
    let failure = Guarded<GuestMemoryError?>(nil)
    SharedWork.perform(
      saved.count, on: min(SharedWork.availableProcessorCount, Self.restoringThreadCount)
    ) { part in
      do throws(GuestMemoryError) {
        guard goesOn() else { throw .interrupted }
        try restore(saved[part], from: descriptor)
        return true
      } catch {
        failure.withLock { $0 = $0 ?? error }
        return false
      }
    }
    if let failure = failure.withLock({ $0 }) { throw failure }
  }

  /// More wait for the memory.
  private static let restoringThreadCount = 4

  private func restore(
    _ part: SavedPages, from descriptor: Int32
  ) throws(GuestMemoryError) {
    let number = part.pages.start.rawValue
    guard number < UInt64(1) << 40, part.pages.pageCount < UInt64(1) << 32 else {
      throw .notRAM(GPA(.max), byteCount: .max)
    }
    let address = GPA(number << 12)
    let byteCount = Int(part.pages.pageCount) * GPN.byteCount
    try readFile(
      descriptor: descriptor, fileOffset: off_t(number) << 12, byteCount: byteCount, at: address)
    guard checksum(at: address, byteCount) == part.checksum else {
      throw .savedPages(address, byteCount: byteCount)
    }
  }

  /// Asks for huge pages where each page of one is read anyway: the host gives memory sooner, and
  /// no more of it. The kernel keeps a mapping apart for each stretch: the longest have it.
  private func adviseHugePages(under saved: [SavedPages]) {
    let stretches = HugeStretches.longest(Self.hugeStretchCount, of: saved.map(\.pages))
    for stretch in stretches {
      for (region, mapping) in zip(layout.regions, mappings)
      where region.pages.start <= stretch.start && stretch.end <= region.pages.end {
        let offset = Int(stretch.start.rawValue - region.pages.start.rawValue) * GPN.byteCount
        mapping.adviseHugePages(offset, Int(stretch.pageCount) * GPN.byteCount)
      }
    }
  }

  private static let hugeStretchCount = 64
}

/// Where memory of any shape has whole huge pages.
enum HugeStretches {
  private static let pageCount: UInt64 = 512

  /// The longest stretches of whole 2 MiB pages.
  ///
  /// - Parameter runs: any values, in any order; those that are not ascending are not put together.
  static func longest(_ count: Int, of runs: [PageRange]) -> [PageRange] {
    var joined: [PageRange] = []
    for run in runs where run.start.rawValue < UInt64(1) << 40 && run.pageCount < UInt64(1) << 32 {
      if let last = joined.last, last.end == run.start {
        joined[joined.count - 1] = PageRange(start: last.start, end: run.end)
      } else {
        joined.append(run)
      }
    }
    let whole = joined.compactMap { (run) -> PageRange? in
      let start = (run.start.rawValue + pageCount - 1) & ~(pageCount - 1)
      let end = run.end.rawValue & ~(pageCount - 1)
      return end > start ? PageRange(start: GPN(rawValue: start), pageCount: end - start) : nil
    }
    return Array(whole.sorted { $0.pageCount > $1.pageCount }.prefix(count))
  }
}

/// A checksum of whole words of 8 bytes, against files that were cut, mixed up or worn out, not
/// against anybody's will: four chains, so that the processor works on them at once.
package enum PageChecksum {
  private static let factor: UInt64 = 0x9E37_79B9_7F4A_7C15

  package static func value(of bytes: UnsafeRawBufferPointer) -> UInt64 {
    var chains: (UInt64, UInt64, UInt64, UInt64) = (1, 2, 3, 4)
    var offset = 0
    while offset &+ 32 <= bytes.count {
      // SAFETY: 32 bytes are there.
      let words = unsafe (
        bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self),
        bytes.loadUnaligned(fromByteOffset: offset &+ 8, as: UInt64.self),
        bytes.loadUnaligned(fromByteOffset: offset &+ 16, as: UInt64.self),
        bytes.loadUnaligned(fromByteOffset: offset &+ 24, as: UInt64.self)
      )
      chains.0 = mix(chains.0, words.0)
      chains.1 = mix(chains.1, words.1)
      chains.2 = mix(chains.2, words.2)
      chains.3 = mix(chains.3, words.3)
      offset &+= 32
    }
    var last = mix(mix(chains.0, chains.1), mix(chains.2, chains.3))
    while offset < bytes.count {
      last = mix(last, UInt64(unsafe bytes[offset]))
      offset &+= 1
    }
    return mix(last, UInt64(bytes.count))
  }

  @inline(__always)
  private static func mix(_ sum: UInt64, _ word: UInt64) -> UInt64 {
    let product = (sum ^ word) &* factor
    return product ^ product &>> 29
  }
}
