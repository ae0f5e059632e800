internal import Bytes
internal import DeviceKit
internal import HostSystem

/// A memory balloon, the host's end: how much of its memory the guest is to give up, what it is to
/// have where its memory can grow, and what has come of it. One object for all machines that a
/// process makes of a configuration, so that a reset leaves the target.
///
/// Any thread.
public final class Balloon: Sendable {
  /// The unit of the target, whatever the guest's pages are (virtio 1.2 §5.5.6).
  public static let pageByteCount = 4096
  /// Between two requests for statistics: each is an interrupt for the guest.
  private static let refreshNanoseconds: UInt64 = 1_000_000_000

  fileprivate struct State {
    var activity: BalloonActivity
    /// What rules the target, if it is not given itself.
    var size: MemorySize?
    /// When the statistics came.
    var statisticsTime: UInt64 = 0
    /// When they were asked for.
    var requestTime: UInt64 = 0
    /// Of the machine that runs now.
    var device: (any BalloonDevice)?
    var onReached: (@Sendable (UInt32) -> Void)?
  }

  private let state: Guarded<State>
  private let clock: @Sendable () -> UInt64

  /// - Parameter targetPageCount: what the guest is to give up from its start on, in pages of
  ///   4 KiB; 0 leaves it everything but what it reports free.
  public convenience init(targetPageCount: UInt32 = 0) {
    self.init(targetPageCount: targetPageCount, clock: HostClock.monotonicNanoseconds)
  }

  /// - Parameter clock: nanoseconds since some time.
  init(targetPageCount: UInt32, clock: @escaping @Sendable () -> UInt64) {
    self.clock = clock
    state = Guarded(State(activity: BalloonActivity(targetPageCount: targetPageCount)))
  }

  /// How much memory the guest is to have: it gives up what it has more, and is given what it
  /// lacks, where its memory can grow. What was added stays, and may be in the balloon.
  public func setSize(_ size: MemorySize) {
    state.withLock { state in
      state.size = size
      state.followSize()
      state.device?.targetChanged()
    }
  }

  /// What the guest is to give up, in pages of 4 KiB. Its driver learns of a new one at once, and
  /// follows as far as it can. To set it leaves the size of its memory open.
  public var targetPageCount: UInt32 {
    get { state.withLock { $0.activity.targetPageCount } }
    set {
      state.withLock { state in
        guard state.size != nil || state.activity.targetPageCount != newValue else { return }
        state.size = nil
        state.activity.targetPageCount = newValue
        state.activity.addedTargetPageCount = 0
        state.device?.targetChanged()
      }
    }
  }

  /// What has come of it so far. Also asks the guest for new statistics, which the next look has.
  public var activity: BalloonActivity {
    let now = clock()
    return state.withLock { state in
      var activity = state.activity
      if activity.statistics != nil {
        activity.statisticsAgeSeconds = Double(now &- state.statisticsTime) / 1e9
      }
      state.device?.statisticsWanted()
      return activity
    }
  }

  /// Has somebody told when the guest has given up what it is to, each time it gets there.
  ///
  /// - Parameter onReached: called with the page count, on a thread of the machine, which it may
  ///   not keep; it may not call back.
  public func setListener(_ onReached: (@Sendable (UInt32) -> Void)?) {
    state.withLock { $0.onReached = onReached }
  }

  // MARK: The device's side

  /// A machine with this balloon starts, or is restored: nothing has come of it yet.
  func attach(_ device: any BalloonDevice) {
    state.withLock { state in
      guard state.device !== device else { return }
      let target = state.activity.targetPageCount
      state.activity = BalloonActivity(targetPageCount: target)
      state.followSize()
      state.device = device
    }
  }

  /// It ends; the next one may have begun.
  func detach(_ device: any BalloonDevice) {
    state.withLock { state in
      if state.device === device { state.device = nil }
    }
  }

  /// Saves or restores the target and what has come of it, except the statistics, which come anew.
  func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try state.withLock { state throws(StateError) in
      try transfer.integer(&state.activity.targetPageCount)
      try transfer.integer(&state.activity.actualPageCount)
      try transfer.flag(&state.activity.hasDriver)
      try transfer.integer(&state.activity.givenBackByteCount)
      try transfer.integer(&state.activity.keptPageCount)
    }
  }

  /// Saves or restores what rules the target, of a guest whose memory can grow: somebody may have
  /// changed it since the machine began.
  func transferSize(_ transfer: inout StateTransfer) throws(StateError) {
    try state.withLock { state throws(StateError) in
      let new = MemorySize(
        byteCount: 0, startByteCount: 0, growthByteCount: 0, growthStepByteCount: 0)
      try transfer.optional(&state.size, new: new) { (transfer, size) throws(StateError) in
        try size.transfer(&transfer)
      }
    }
  }

  /// *num_pages* and *actual*.
  var pageCounts: (target: UInt32, actual: UInt32) {
    state.withLock { ($0.activity.targetPageCount, $0.activity.actualPageCount) }
  }

  /// What is to be in the balloon, and what is to be added, in pages.
  var targets: (balloon: UInt64, added: UInt64) {
    state.withLock {
      (UInt64($0.activity.targetPageCount), UInt64($0.activity.addedTargetPageCount))
    }
  }

  /// The guest has that much memory more than it started with.
  func noteAdded(_ pageCount: UInt64) {
    state.withLock { state in
      state.activity.addedPageCount = UInt32(clamping: pageCount)
      state.followSize()
    }
  }

  func note(_ change: (inout BalloonActivity) -> Void) {
    state.withLock { state in
      let before = state.activity
      change(&state.activity)
      let (actual, target) = (state.activity.actualPageCount, state.activity.targetPageCount)
      guard state.activity.hasDriver, actual == target, before.actualPageCount != target else {
        return
      }
      state.onReached?(actual)
    }
  }

  func note(_ statistics: BalloonStatistics) {
    let now = clock()
    state.withLock { state in
      state.activity.statistics = statistics
      state.statisticsTime = now
    }
  }

  /// Whether statistics may be asked for, which counts as done then: once a second.
  func takeRefresh() -> Bool {
    let now = clock()
    return state.withLock { state in
      guard now &- state.requestTime >= Self.refreshNanoseconds else { return false }
      state.requestTime = now
      return true
    }
  }
}

/// How much memory a guest is to have, and what it has from its start on. In pages of 4 KiB.
public struct MemorySize: Hashable, Sendable {
  /// What it is to have.
  public var pageCount: UInt64
  /// What it started with.
  public let startPageCount: UInt64
  /// What may be added at most, and by how much at a time.
  public let growthPageCount: UInt64
  /// A multiple of 128 MiB.
  public let growthStepPageCount: UInt64

  /// - Parameters:
  ///   - byteCount: what the guest is to have.
  ///   - startByteCount: what it started with.
  ///   - growthByteCount: what may be added.
  ///   - growthStepByteCount: by how much at a time.
  public init(
    byteCount: UInt64, startByteCount: UInt64, growthByteCount: UInt64, growthStepByteCount: UInt64
  ) {
    let page = UInt64(Balloon.pageByteCount)
    pageCount = byteCount / page
    startPageCount = startByteCount / page
    growthPageCount = growthByteCount / page
    growthStepPageCount = max(growthStepByteCount / page, 1)
  }

  /// What is to be added: whole steps.
  var addedPageCount: UInt64 {
    guard pageCount > startPageCount else { return 0 }
    let steps = (pageCount - startPageCount + growthStepPageCount - 1) / growthStepPageCount
    return min(steps * growthStepPageCount, growthPageCount)
  }
}

extension MemorySize {
  /// More pages than any machine has; sums of them fit.
  private static let most: UInt64 = 1 << 40

  fileprivate mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    var (start, growth, step) = (startPageCount, growthPageCount, growthStepPageCount)
    try transfer.integer(&pageCount, in: 0...Self.most)
    try transfer.integer(&start, in: 0...Self.most)
    try transfer.integer(&growth, in: 0...Self.most)
    try transfer.integer(&step, in: 1...Self.most)
    let page = UInt64(Balloon.pageByteCount)
    self = MemorySize(
      byteCount: pageCount * page, startByteCount: start * page, growthByteCount: growth * page,
      growthStepByteCount: step * page)
  }
}

extension Balloon.State {
  /// Sets the targets by the size, if there is one.
  fileprivate mutating func followSize() {
    guard let size else { return }
    let total = size.startPageCount + UInt64(activity.addedPageCount)
    activity.targetPageCount = UInt32(clamping: max(total, size.pageCount) - size.pageCount)
    activity.addedTargetPageCount = UInt32(clamping: size.addedPageCount)
  }
}

/// What a balloon tells its device. Called with the balloon's lock: nothing may wait, or call back.
protocol BalloonDevice: AnyObject, Sendable {
  func targetChanged()
  func statisticsWanted()
}

/// What has come of a balloon since its machine began.
public struct BalloonActivity: Hashable, Sendable {
  /// What the guest is to give up, in pages of 4 KiB.
  public internal(set) var targetPageCount: UInt32
  /// What its driver says it gave up (*actual*).
  public internal(set) var actualPageCount: UInt32 = 0
  /// What is to be added to what the guest started with, in pages of 4 KiB.
  public internal(set) var addedTargetPageCount: UInt32 = 0
  /// What was added to it since its machine began.
  public internal(set) var addedPageCount: UInt32 = 0
  /// Whether a driver is at work.
  public internal(set) var hasDriver = false
  /// What the host got back, by the balloon and by reports of free pages: also what it got twice,
  /// as the guest used it again meanwhile.
  public internal(set) var givenBackByteCount: UInt64 = 0
  /// What the guest gave and the host left where it was: memory that is not to be given back, or is
  /// poisoned, and everything that is no whole page of RAM.
  public internal(set) var keptPageCount: UInt64 = 0
  /// What the guest says of its memory; nil before it did.
  public internal(set) var statistics: BalloonStatistics?
  /// How old the statistics are; 0 without any.
  public internal(set) var statisticsAgeSeconds = 0.0

  init(targetPageCount: UInt32) {
    self.targetPageCount = targetPageCount
  }
}

/// What a guest says of its memory (virtio 1.2 §5.5.6.4): its own words, which nothing checks.
public struct BalloonStatistics: Hashable, Sendable {
  /// *VIRTIO_BALLOON_S_…*.
  public struct Tag: RawRepresentable, Hashable, Sendable {
    /// As the driver writes it.
    public let rawValue: UInt16

    /// Any number.
    public init(rawValue: UInt16) {
      self.rawValue = rawValue
    }

    /// *SWAP_IN*: bytes so far.
    public static let swappedIn = Tag(rawValue: 0)
    /// *SWAP_OUT*: bytes so far.
    public static let swappedOut = Tag(rawValue: 1)
    /// *MAJFLT*: faults that needed a disk.
    public static let majorFaults = Tag(rawValue: 2)
    /// *MINFLT*: those that did not.
    public static let minorFaults = Tag(rawValue: 3)
    /// *MEMFREE*: bytes that nothing uses.
    public static let free = Tag(rawValue: 4)
    /// *MEMTOT*: bytes that the guest has.
    public static let total = Tag(rawValue: 5)
    /// *AVAIL*: bytes that programs can have without swapping.
    public static let available = Tag(rawValue: 6)
    /// *CACHES*: bytes that can be had without loss.
    public static let caches = Tag(rawValue: 7)
  }

  private static let entryByteCount = 10
  /// More than any driver knows. The tags beyond are of no interest here.
  private static let tagCount = 16
  /// What is read of a buffer.
  static let maximumByteCount = 64 * entryByteCount

  private var values = [UInt64?](repeating: nil, count: tagCount)

  /// The value of a tag; nil if the guest does not know.
  public subscript(_ tag: Tag) -> UInt64? {
    values.indices.contains(Int(tag.rawValue)) ? values[Int(tag.rawValue)] : nil
  }

  /// What Dynamic Memory's driver tells.
  init(available byteCount: UInt64) {
    values[Int(Tag.available.rawValue)] = byteCount
  }

  /// Reads *struct virtio_balloon_stat*, as many as are whole; the last of a tag counts.
  init(_ bytes: [UInt8]) {
    for index in 0..<(bytes.count / Self.entryByteCount) {
      let tag: UInt16 = bytes.loadLE(at: index * Self.entryByteCount)
      let value: UInt64 = bytes.loadLE(at: index * Self.entryByteCount + 2)
      // All ones: the driver has no value.
      guard tag < Self.tagCount, value != .max else { continue }
      values[Int(tag)] = value
    }
  }
}
