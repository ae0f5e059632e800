internal import Synchronization
internal import ZeroTracker

/// Which pages this process wrote, or gave back, since somebody last asked: for a machine that
/// moves while it runs.
///
/// The touched map says that a page was written at some time; whoever copies memory round after
/// round has to know what came after the copy. So this is set **after** the bytes, and by a locked
/// operation in every case: a writer's bytes are there for all before its bit is. Who takes the
/// bits clears them first and reads the pages then. A writer that the reading misses sets its bit
/// after the clearing, for the next round; in the last one there is no writer any more. A load that
/// finds the bit set already would not do in place of the operation: it could come before the
/// bytes.
///
/// Any thread; costs one load while it is off. Sendable: the words are made once, changed by atomic
/// operations only, and there as long as self.
@safe
final class WriteLog: @unchecked Sendable {
  private typealias Words = UnsafeMutablePointer<Atomic<UInt64>>

  private let regions: [PageRange]
  /// Where each region's words begin; behind them the number of all.
  private let places: [Int]
  /// Their address; 0 while it is off.
  private let words = Atomic<UInt>(0)
  /// Made when it is first turned on: most machines never move.
  private let allocation = Mutex<UInt>(0)

  /// Off.
  init(_ regions: [PageRange]) {
    self.regions = regions
    var places = [0]
    for region in regions { places.append(places[places.count - 1] + Self.wordCount(region)) }
    self.places = places
  }

  deinit {
    // SAFETY: the address of what `begin` allocated. Integers need no deinitialisation.
    unsafe Words(bitPattern: allocation.withLock { $0 })?.deallocate()
  }

  static func wordCount(_ region: PageRange) -> Int { (Int(region.pageCount) + 63) / 64 }

  /// Turns it on, empty. A writer that is on its way may not see that: they are waited for by the
  /// caller.
  func begin() {
    allocation.withLock { address in
      let count = places[places.count - 1]
      if address == 0 {
        let new = Words.allocate(capacity: count)
        // SAFETY: as many were allocated.
        for index in 0..<count { unsafe (new + index).initialize(to: Atomic(0)) }
        address = UInt(bitPattern: new)
      }
      guard let made = unsafe Words(bitPattern: address) else { return }
      // SAFETY: as many were initialised.
      for index in 0..<count { unsafe made[index].store(0, ordering: .relaxed) }
      words.store(address, ordering: .sequentiallyConsistent)
    }
  }

  /// Turns it off.
  func end() {
    words.store(0, ordering: .sequentiallyConsistent)
  }

  /// Notes pages whose bytes have changed by now; parts outside of RAM are ignored.
  @inline(__always)
  func add(_ range: PageRange) {
    let address = words.load(ordering: .acquiring)
    if address != 0 { add(range, toWordsAt: address) }
  }

  @inline(never)
  private func add(_ range: PageRange, toWordsAt address: UInt) {
    // SAFETY: what `begin` allocated.
    guard let words = unsafe Words(bitPattern: address) else { return }
    for (region, place) in zip(regions, places) {
      let pages = region.intersection(range)
      guard !pages.isEmpty else { continue }
      var page = Int(pages.start.rawValue - region.start.rawValue)
      let end = page + Int(pages.pageCount)
      while page < end {
        let last = min(end, (page / 64 + 1) * 64)
        let mask = (UInt64.max >> UInt64(64 - (last - page))) << UInt64(page % 64)
        // SAFETY: a word of the region's own.
        _ = unsafe words[place + page / 64].bitwiseOr(mask, ordering: .sequentiallyConsistent)
        page = last
      }
    }
  }

  /// Adds what was noted of a region to `bits`, one bit a page, and forgets it. Nothing while it is
  /// off.
  ///
  /// - Parameter region: its number.
  func take(_ region: Int, into bits: inout [UInt64]) {
    // SAFETY: what `begin` allocated.
    guard let words = unsafe Words(bitPattern: words.load(ordering: .acquiring)) else { return }
    for index in bits.indices where index < places[region + 1] - places[region] {
      // SAFETY: a word of the region's own.
      let word = unsafe words + (places[region] + index)
      // Most are 0: a locked operation for each would cost several times more.
      guard unsafe word.pointee.load(ordering: .acquiring) != 0 else { continue }
      bits[index] |= unsafe word.pointee.exchange(0, ordering: .sequentiallyConsistent)
    }
  }
}

extension GuestMemory {
  /// How long writers are waited for that are inside when the log begins.
  private static let writerMilliseconds = 2000

  /// Begins to note what this process writes, or gives back.
  ///
  /// - Returns: false if a writer has not left within two seconds: nothing is noted then.
  package func beginWriteLog() -> Bool {
    writeLog.begin()
    // A writer that came in before may have looked whether the log is on, and still write.
    let isDone: Void? = gate.discard(timeoutMilliseconds: Self.writerMilliseconds) {}
    if isDone == nil { writeLog.end() }
    return isDone != nil
  }

  /// Adds the pages of a region that were noted since the last time to `bits`, one bit a page, and
  /// forgets them. Whoever reads the pages afterwards finds all bytes of those writers.
  ///
  /// - Parameter region: the number of one of the layout's, or behind them what was added.
  package func takeWriteLog(ofRegion region: Int, into bits: inout [UInt64]) {
    writeLog.take(region, into: &bits)
  }

  /// Ends it.
  package func endWriteLog() { writeLog.end() }
}
