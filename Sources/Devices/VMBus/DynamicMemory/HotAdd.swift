internal import DeviceKit

/// What becomes of memory that Dynamic Memory adds to a guest: added to the machine, asked of the
/// driver, and in use. A value, without the clock and the channel.
///
/// A driver is asked for one range at a time, from its first page on. What it took is its own until
/// the machine ends, whatever drivers come later: they may know of it. A range that it may have
/// taken, as it went without an answer, counts as taken too: what the next one is given is to be
/// zero.
struct HotAdd: Sendable {
  /// Of one request: 2 GiB.
  static let maximumRequestPageCount: UInt64 = 524_288
  /// Between two requests of which the first brought less than it asked for; twice as long each
  /// time.
  static let firstPause: UInt64 = 10_000_000_000
  static let lastPause: UInt64 = 640_000_000_000

  /// What the guest has.
  private(set) var addedPageCount: UInt64 = 0
  /// Added to the machine, and not taken; adjoins what the guest has.
  private var pending: Range<UInt64> = 0..<0
  /// What was asked for; without an answer.
  private var asked: Range<UInt64>?
  private var pause = firstPause
  /// What the driver needs a range to begin and end at, in pages; nil if it takes none.
  private var alignment: UInt64?

  /// A driver says what it can.
  ///
  /// - Parameter capabilities: *hot_add* in bit 1, log2 of the alignment in MiB in bits 5:2.
  mutating func begin(capabilities: UInt64) {
    alignment = capabilities & 2 == 0 ? nil : 256 << (capabilities >> 2 & 15)
    pause = Self.firstPause
  }

  /// It is gone.
  mutating func end() {
    if let asked { take(UInt64(asked.count)) }
    asked = nil
    alignment = nil
  }

  /// The range to ask for now, which counts as asked for; nil if there is none.
  ///
  /// - Parameter target: how many pages the guest is to have been given.
  mutating func next(target: UInt64, _ growth: any GuestMemoryGrowth) -> Range<UInt64>? {
    guard let alignment, asked == nil, target > addedPageCount else { return nil }
    if pending.isEmpty {
      let step = growth.stepByteCount / 4096
      let wanted = (target - addedPageCount + step - 1) / step * step
      let most = max(Self.maximumRequestPageCount / step * step, step)
      let count = min(wanted, most, growth.leftByteCount / 4096)
      guard count > 0, let pages = growth.grow(by: count * 4096) else { return nil }
      pending = pages
    }
    let count = min(UInt64(pending.count), Self.maximumRequestPageCount)
    guard pending.lowerBound.isMultiple(of: alignment), count.isMultiple(of: alignment) else {
      return nil
    }
    let range = pending.lowerBound..<pending.lowerBound + count
    asked = range
    return range
  }

  /// The message was not sent.
  mutating func notAsked() { asked = nil }

  /// Takes an answer; one that nobody waits for, and pages beyond what was asked for, come to
  /// nothing.
  ///
  /// - Parameters:
  ///   - pageCount: how many it took.
  ///   - isFinal: that it will take no more, if it took none (*result*).
  /// - Returns: how long to wait before the next request, in nanoseconds; nil for no answer.
  mutating func answered(_ pageCount: UInt64, isFinal: Bool) -> UInt64? {
    guard let asked else { return nil }
    let count = min(pageCount, UInt64(asked.count))
    take(count)
    self.asked = nil
    if count == UInt64(asked.count) {
      pause = Self.firstPause
      return 0
    }
    if count == 0, isFinal { alignment = nil }
    defer { pause = min(pause * 2, Self.lastPause) }
    return pause
  }

  private mutating func take(_ count: UInt64) {
    addedPageCount += count
    pending = pending.lowerBound + count..<pending.upperBound
  }
}

extension HotAdd {
  /// - Parameter added: all pages that were added to the machine.
  mutating func transfer(
    _ transfer: inout StateTransfer, added: Range<UInt64>
  ) throws(StateError) {
    try transfer.integer(&addedPageCount, in: 0...UInt64(added.count))
    var (start, count) = (pending.lowerBound, UInt64(pending.count))
    try transfer.integer(&start)
    try transfer.integer(&count, in: 0...UInt64(added.count) - addedPageCount)
    let (end, isTooFar) = start.addingReportingOverflow(count)
    try transfer.check(
      count == 0 || !isTooFar && start >= added.lowerBound && end <= added.upperBound,
      "pages \(start)+\(count), which were not added")
    var askedCount = asked.map { UInt64($0.count) }
    try transfer.optional(&askedCount, new: 0) { (transfer, asked) throws(StateError) in
      try transfer.integer(&asked, in: 0...count)
    }
    try transfer.integer(&pause, in: Self.firstPause...Self.lastPause)
    try transfer.optional(&alignment, new: 256) { (transfer, alignment) throws(StateError) in
      // Of four bits.
      try transfer.integer(&alignment, in: 256...256 << 15)
      try transfer.check(
        alignment.nonzeroBitCount == 1, "pages at multiples of \(alignment)")
    }
    guard transfer.isRestoring else { return }
    // An empty range is kept as it is, too: the next save has the same bytes.
    pending = start..<end
    asked = askedCount.map { pending.lowerBound..<pending.lowerBound + $0 }
  }
}
