internal import Bytes
internal import GuestMemory
internal import HostSystem

/// The thread of a balloon: takes what the driver gives, and gives it to the host.
///
/// A chain is answered after its pages are gone, and the queue's lock is held all the while: the
/// driver uses a page again once it has the answer, or after a reset, which waits for that lock. So
/// the work for one chain is bounded, whatever the driver put into it.
struct VirtioBalloonServer {
  /// Page numbers of a chain that count; Linux gives 256.
  static let maximumPageCount = 4096
  /// Bytes of a report that count; Linux reports up to 128 MiB.
  static let maximumReportByteCount = 1 << 30
  private static let pageByteCount = Balloon.pageByteCount

  private let device: VirtioBalloon
  private var balloon: Balloon { device.balloon }
  /// Filled anew for each request, as the arrays are.
  private var chain = VirtioChain()
  private var bytes: [UInt8] = []
  private var pages: [UInt32] = []
  /// Chains with pages so far.
  private var chainCount: UInt64 = 0
  /// What came of the chain at hand.
  private var outcome = Outcome()

  /// What a chain gave.
  private struct Outcome {
    var givenBackByteCount: UInt64 = 0
    var keptPageCount: UInt64 = 0
    /// Writers of guest memory do not let a discard in: the rest of the chain stays.
    var isBusy = false
  }

  init(_ device: VirtioBalloon) {
    self.device = device
  }

  /// Serves what waits in a queue, or asks for statistics.
  mutating func serve(_ item: Int) {
    guard item != VirtioBalloon.statisticsWork else { return askForStatistics() }
    let before = chainCount
    while serveOne(item) {
      guard device.work.isAtRest else { continue }
      // The rest waits for the end of a pause.
      device.work.add(item)
      break
    }
    // After what changes them, and not by a clock: nobody is woken for nothing.
    if chainCount != before { askForStatistics() }
  }

  /// - Returns: whether there may be more requests.
  private mutating func serveOne(_ index: Int) -> Bool {
    outcome = Outcome()
    let hasMore = device.link.queues[index].work { (queue, memory) throws(VirtqueueFault) in
      let driver = device.driver.withLock { $0 }
      guard let purpose = driver.purpose(of: index) else { return false }
      guard try queue.take(&chain, memory) else { return try queue.arm(memory) }
      switch purpose {
      case .inflate: try inflate(memory)
      case .deflate: break
      case .statistics:
        try readStatistics(memory)
        // A driver has one buffer; of one that has more, the last is held.
        let before = device.driver.withLock { [chain] driver in
          defer { driver.statistics = chain }
          return driver.statistics
        }
        if let before { try queue.put(before, byteCount: 0, memory) }
        return true
      case .reporting: report(memory, allowsZeroedPages: driver.allowsZeroedPages)
      }
      try queue.put(chain, byteCount: 0, memory)
      chainCount &+= 1
      return true
    }
    if outcome.givenBackByteCount > 0 || outcome.keptPageCount > 0 {
      balloon.note { activity in
        activity.givenBackByteCount &+= outcome.givenBackByteCount
        activity.keptPageCount &+= outcome.keptPageCount
      }
    }
    return hasMore ?? false
  }

  // MARK: Statistics

  private mutating func readStatistics(_ memory: GuestMemory) throws(VirtqueueFault) {
    bytes.removeAll(keepingCapacity: true)
    try chain.read(limit: BalloonStatistics.maximumByteCount, into: &bytes, memory)
    balloon.note(BalloonStatistics(bytes))
  }

  /// Gives the buffer back, in which the driver then puts new ones.
  private mutating func askForStatistics() {
    let index = device.driver.withLock { driver in
      driver.statistics == nil
        ? nil : device.link.queues.indices.first { driver.purpose(of: $0) == .statistics }
    }
    guard let index, balloon.takeRefresh() else { return }
    _ = device.link.queues[index].work { (queue, memory) throws(VirtqueueFault) in
      guard let chain = device.driver.withLock({ $0.statistics.take() }) else { return }
      try queue.put(chain, byteCount: 0, memory)
    }
  }

  // MARK: Pages

  /// Page numbers, 4 bytes each. Neighbours go together, in whichever order they are.
  private mutating func inflate(_ memory: GuestMemory) throws(VirtqueueFault) {
    bytes.removeAll(keepingCapacity: true)
    try chain.read(limit: 4 * Self.maximumPageCount, into: &bytes, memory)
    pages.removeAll(keepingCapacity: true)
    for index in 0..<(bytes.count / 4) { pages.append(bytes.loadLE(at: 4 * index)) }
    // Beyond the limit, and half numbers.
    outcome.keptPageCount += UInt64((chain.readableByteCount - 4 * pages.count + 3) / 4)
    guard memory.givesPagesBack else {
      outcome.keptPageCount += UInt64(pages.count)
      return
    }
    pages.sort()
    var run = UInt64(0)..<UInt64(0)
    for page in pages.lazy.map({ UInt64($0) }) where page >= run.upperBound {
      guard memory.isRAM(Self.address(page), byteCount: Self.pageByteCount) else {
        outcome.keptPageCount += 1
        continue
      }
      if page == run.upperBound {
        run = run.lowerBound..<(page + 1)
      } else {
        discard(run, memory)
        run = page..<(page + 1)
      }
    }
    discard(run, memory)
  }

  private static func address(_ page: UInt64) -> GPA {
    GPA(page * UInt64(pageByteCount))
  }

  private mutating func discard(_ run: Range<UInt64>, _ memory: GuestMemory) {
    guard !run.isEmpty else { return }
    discard(
      at: Self.address(run.lowerBound), byteCount: run.count * Self.pageByteCount, memory)
  }

  /// The buffers are the pages. Used length 0: nothing of them was written (§5.5.6.5).
  private mutating func report(_ memory: GuestMemory, allowsZeroedPages: Bool) {
    var left = Self.maximumReportByteCount
    for piece in chain.writable {
      let isPages =
        piece.start.rawValue % UInt64(Self.pageByteCount) == 0
        && piece.byteCount % Self.pageByteCount == 0
      // Poison is found again where it was left.
      guard isPages, allowsZeroedPages, memory.givesPagesBack, left >= piece.byteCount else {
        outcome.keptPageCount += UInt64(piece.byteCount / Self.pageByteCount)
        continue
      }
      left -= piece.byteCount
      discard(at: piece.start, byteCount: piece.byteCount, memory)
    }
  }

  /// What cannot be discarded stays, and the driver is answered all the same: it has given the
  /// pages up, and asks nothing of them.
  private mutating func discard(at address: GPA, byteCount: Int, _ memory: GuestMemory) {
    let pageCount = UInt64(byteCount / Self.pageByteCount)
    guard !outcome.isBusy else {
      outcome.keptPageCount += pageCount
      return
    }
    do throws(GuestMemoryError) {
      try memory.discard(at: address, byteCount: byteCount)
      outcome.givenBackByteCount += UInt64(byteCount)
    } catch {
      if case .discardBusy = error { outcome.isBusy = true }
      outcome.keptPageCount += pageCount
    }
  }
}
