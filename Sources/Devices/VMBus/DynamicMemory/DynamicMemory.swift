internal import DeviceKit
internal import GuestMemory
internal import HostSystem

/// *Dynamic Memory*: the host's end of a balloon whose driver is part of Windows, and is in Linux.
///
/// The driver begins: it names versions, then what it can do. Then the host asks for pages, or
/// gives them back, one request at a time, until the balloon has its size. Pages that the guest
/// gives up are discarded, so they are zero again. If the guest is to have more than it started
/// with, memory is added to it when the balloon is empty (`HotAdd`).
final class DynamicMemory: VMBusDevice, BalloonDevice {
  /// What the host has asked and the guest has not answered.
  fileprivate enum Request: Sendable {
    case none
    case balloon(pageCount: UInt64, givenCount: UInt64, deadline: UInt64)
    case unballoon(deadline: UInt64)
    case hotAdd(deadline: UInt64)

    var deadline: UInt64? {
      switch self {
      case .none: nil
      case .balloon(_, _, let deadline), .unballoon(let deadline), .hotAdd(let deadline): deadline
      }
    }
  }

  fileprivate struct State: Sendable {
    var isVersionAgreed = false
    /// When the guest may be asked for something; nil before it has said what it can.
    var readyTime: UInt64?
    /// As the driver told them.
    var capabilities: UInt64 = 0
    var request = Request.none
    var held = HeldPages()
    var hotAdd = HotAdd()
    /// When memory may be added; the balloon does not wait for that.
    var growthTime: UInt64 = 0
    var transaction: UInt32 = 0

    /// *Balloon*.
    var canBalloon: Bool { capabilities & 1 != 0 }

    mutating func nextTransaction() -> UInt32 {
      transaction &+= 1
      return transaction
    }
  }

  /// No request in the first time after the guest has begun: Windows takes none earlier.
  private static let quietTime: UInt64 = 50_000_000_000
  private static let timeout: UInt64 = 60_000_000_000
  /// After a request that came to nothing, or to less than it asked for.
  private static let pauseTime: UInt64 = 10_000_000_000
  /// Of one request. Windows answers none that asks for more.
  static let maximumRequestPageCount: UInt64 = 585_728
  /// What a message of 4096 bytes has room for.
  private static let maximumRangeCount = 510
  private static let pageByteCount = Balloon.pageByteCount

  let offer = VMBusOffer(
    interface: VMBusGUID("525074dc-8985-46e2-8057-a307dc18a502"),
    instance: VMBusGUID("1eccfd72-4b41-45ef-b73a-4a6e44c12924"), isPipe: false)
  let balloon: Balloon
  /// Nil for a machine whose memory is what it is.
  private let growth: (any GuestMemoryGrowth)?
  private let clock: @Sendable () -> UInt64
  private let quietTime: UInt64
  /// Of the bus' thread; its lock is taken before the balloon's.
  private let state = Guarded(State())
  private let waker = Guarded<(@Sendable () -> Void)?>(nil)

  /// - Parameter clock: the bus'.
  init(
    _ balloon: Balloon, growth: (any GuestMemoryGrowth)? = nil,
    clock: @escaping @Sendable () -> UInt64, quietTime: UInt64 = quietTime
  ) {
    self.balloon = balloon
    self.growth = growth
    self.clock = clock
    self.quietTime = quietTime
  }

  // MARK: Life

  func attach(wake: @escaping @Sendable () -> Void) {
    waker.withLock { $0 = wake }
    balloon.attach(self)
  }

  func detach() {
    balloon.detach(self)
    waker.withLock { $0 = nil }
  }

  func opened(_ link: VMBusLink) {}

  /// What it gave up is the guest's again: another one may be there, which knows of nothing. What
  /// was added stays.
  func closed() {
    let added = state.withLock { state in
      var hotAdd = state.hotAdd
      hotAdd.end()
      state = State()
      state.hotAdd = hotAdd
      return hotAdd.addedPageCount
    }
    balloon.noteAdded(added)
    balloon.note { activity in
      (activity.hasDriver, activity.actualPageCount, activity.statistics) = (false, 0, nil)
    }
  }

  func transferState(_ transfer: inout StateTransfer, now: UInt64) throws(StateError) {
    // What is in it is the restored machine's from now on, and not anew at its start.
    if transfer.isRestoring { balloon.attach(self) }
    try balloon.transfer(&transfer)
    if growth != nil { try balloon.transferSize(&transfer) }
    let added = try state.withLock { state throws(StateError) in
      try state.transfer(&transfer, growth, now: now)
      return state.hotAdd.addedPageCount
    }
    if transfer.isRestoring, growth != nil { balloon.noteAdded(added) }
  }

  // MARK: The host

  func targetChanged() {
    let wake = waker.withLock { $0 }
    wake?()
  }

  /// The guest tells by itself, every second.
  func statisticsWanted() {}

  func advance(_ link: VMBusLink, now: UInt64) -> UInt64? {
    let (target, addedTarget) = balloon.targets
    return state.withLock { state in
      guard let readyTime = state.readyTime else { return nil }
      if let deadline = state.request.deadline {
        guard now >= deadline else { return deadline }
        // An answer that comes yet is taken all the same. Until it does no more memory is added:
        // the guest may have it.
        state.request = .none
        state.readyTime = now &+ Self.pauseTime
        return state.readyTime
      }
      guard state.held.pageCount != target else {
        return add(to: addedTarget, &state, link, now)
      }
      guard now >= readyTime else { return readyTime }
      return state.held.pageCount < target
        ? inflate(to: target, &state, link, now) : deflate(to: target, &state, link, now)
    }
  }

  private func inflate(
    to target: UInt64, _ state: inout State, _ link: VMBusLink, _ now: UInt64
  ) -> UInt64? {
    guard state.canBalloon else { return nil }
    let count = min(target - state.held.pageCount, Self.maximumRequestPageCount)
    let message = DynamicMemoryMessage.bytes(
      .balloon, transaction: state.nextTransaction(), [count])
    let deadline = now &+ Self.timeout
    guard link.send(message) else { return deadline }
    state.request = .balloon(pageCount: count, givenCount: 0, deadline: deadline)
    return deadline
  }

  private func add(
    to target: UInt64, _ state: inout State, _ link: VMBusLink, _ now: UInt64
  ) -> UInt64? {
    guard let growth, let readyTime = state.readyTime, target > state.hotAdd.addedPageCount else {
      return nil
    }
    let time = max(readyTime, state.growthTime)
    guard now >= time else { return time }
    guard let range = state.hotAdd.next(target: target, growth) else {
      // Not with each packet: the host may have refused.
      state.growthTime = now &+ Self.pauseTime
      return nil
    }
    // With the region, which is the range here: that is all there will be of it.
    let word = DynamicMemoryMessage.word(range)
    let message = DynamicMemoryMessage.bytes(
      .hotAdd, transaction: state.nextTransaction(), [word, word])
    let deadline = now &+ Self.timeout
    guard link.send(message) else {
      state.hotAdd.notAsked()
      state.growthTime = now &+ Self.pauseTime
      return state.growthTime
    }
    state.request = .hotAdd(deadline: deadline)
    return deadline
  }

  private func deflate(
    to target: UInt64, _ state: inout State, _ link: VMBusLink, _ now: UInt64
  ) -> UInt64? {
    let ranges = state.held.take(
      state.held.pageCount - target, rangeCount: Self.maximumRangeCount,
      rangePageCount: DynamicMemoryMessage.maximumRangePageCount)
    let message = DynamicMemoryMessage.bytes(
      .unballoon, transaction: state.nextTransaction(),
      [UInt64(ranges.count) << 32] + ranges.map(DynamicMemoryMessage.word))
    let deadline = now &+ Self.timeout
    guard link.send(message) else {
      for range in ranges { _ = state.held.insert(range) }
      state.readyTime = now &+ Self.pauseTime
      return state.readyTime
    }
    // The guest may use them from now on.
    state.request = .unballoon(deadline: deadline)
    let count = state.held.pageCount
    balloon.note { $0.actualPageCount = UInt32(clamping: count) }
    return deadline
  }

  // MARK: The guest

  func receive(_ packet: VMBusPacket, _ link: VMBusLink) {
    guard packet.kind == .inBand, let message = DynamicMemoryMessage.Received(packet.payload)
    else { return }
    state.withLock { state in
      switch message.kind {
      case .versionRequest:
        let version = UInt32(truncatingIfNeeded: message.word(0) ?? 0)
        state.isVersionAgreed = DynamicMemoryVersion.supported.contains(version)
        answer(message, .versionResponse, isAccepted: state.isVersionAgreed, link)
      case .capabilities where state.isVersionAgreed:
        let capabilities = message.word(0) ?? 0
        state.capabilities = capabilities
        state.hotAdd.begin(capabilities: capabilities)
        state.readyTime = clock() &+ quietTime
        answer(message, .capabilitiesResponse, isAccepted: true, link)
        balloon.note { $0.hasDriver = true }
      case .status where state.readyTime != nil:
        // *num_avail* in pages.
        guard let pages = message.word(0) else { return }
        let byteCount = pages.multipliedReportingOverflow(by: UInt64(Self.pageByteCount))
        guard !byteCount.overflow else { return }
        balloon.note(BalloonStatistics(available: byteCount.partialValue))
      case .balloonResponse where state.readyTime != nil:
        take(message, &state, link.memory)
      case .unballoonResponse:
        guard case .unballoon = state.request else { return }
        state.request = .none
      case .hotAddResponse where state.readyTime != nil:
        noteAdded(message, &state)
      default: break
      }
    }
  }

  /// *page_count*, then *result*: 1 if some were added, or none will ever be.
  private func noteAdded(_ message: DynamicMemoryMessage.Received, _ state: inout State) {
    guard let word = message.word(0),
      let pause = state.hotAdd.answered(word & 0xFFFF_FFFF, isFinal: word >> 32 != 0)
    else { return }
    if case .hotAdd = state.request { state.request = .none }
    state.growthTime = clock() &+ pause
    balloon.noteAdded(state.hotAdd.addedPageCount)
  }

  private func answer(
    _ message: DynamicMemoryMessage.Received, _ kind: DynamicMemoryMessage.Kind,
    isAccepted: Bool, _ link: VMBusLink
  ) {
    link.send(
      DynamicMemoryMessage.bytes(
        kind, transaction: message.transaction, [isAccepted ? 1 : 0]))
  }

  /// Takes the pages of an answer, as many as one request can ask for.
  private func take(
    _ message: DynamicMemoryMessage.Received, _ state: inout State, _ memory: GuestMemory
  ) {
    var left = Self.maximumRequestPageCount
    var (givenBack, kept, taken): (UInt64, UInt64, UInt64) = (0, 0, 0)
    var isBusy = false
    for range in message.ranges.prefix(Self.maximumRangeCount) {
      let count = UInt64(range.count)
      guard count > 0, count <= left,
        memory.isRAM(Self.address(range.lowerBound), byteCount: range.count * Self.pageByteCount)
      else {
        kept &+= count
        continue
      }
      left -= count
      for run in state.held.insert(range) {
        taken += UInt64(run.count)
        if !isBusy, discard(run, memory, &isBusy) {
          givenBack += UInt64(run.count * Self.pageByteCount)
        } else {
          kept += UInt64(run.count)
        }
      }
    }
    noteAnswer(taken, hasMore: message.hasMore, &state)
    let count = state.held.pageCount
    balloon.note { activity in
      activity.givenBackByteCount &+= givenBack
      activity.keptPageCount &+= kept
      activity.actualPageCount = UInt32(clamping: count)
    }
  }

  private func noteAnswer(_ pageCount: UInt64, hasMore: Bool, _ state: inout State) {
    guard case .balloon(let asked, let givenBefore, _) = state.request else { return }
    let given = givenBefore + pageCount
    let now = clock()
    if hasMore {
      // Each message that brings something counts as a sign of life.
      guard pageCount > 0 else { return }
      state.request = .balloon(
        pageCount: asked, givenCount: given, deadline: now &+ Self.timeout)
    } else {
      state.request = .none
      // It has no more to give for now.
      if given < asked { state.readyTime = now &+ Self.pauseTime }
    }
  }

  private static func address(_ page: UInt64) -> GPA { GPA(page * UInt64(pageByteCount)) }

  /// - Returns: whether the host has them. What it cannot have stays, and is the balloon's all the
  ///   same.
  private func discard(
    _ run: Range<UInt64>, _ memory: GuestMemory, _ isBusy: inout Bool
  ) -> Bool {
    guard memory.givesPagesBack else { return false }
    do throws(GuestMemoryError) {
      try memory.discard(
        at: Self.address(run.lowerBound), byteCount: run.count * Self.pageByteCount)
      return true
    } catch {
      if case .discardBusy = error { isBusy = true }
      return false
    }
  }
}

extension DynamicMemory.State {
  /// - Parameter growth: nil where memory cannot grow.
  fileprivate mutating func transfer(
    _ transfer: inout StateTransfer, _ growth: (any GuestMemoryGrowth)?, now: UInt64
  ) throws(StateError) {
    try transfer.flag(&isVersionAgreed)
    try transfer.time(&readyTime, now: now)
    try transfer.integer(&capabilities)
    try request.transfer(&transfer, canAdd: growth != nil, now: now)
    try held.transfer(&transfer)
    try transfer.integer(&transaction)
    guard let growth else { return }
    try hotAdd.transfer(&transfer, added: growth.addedPages)
    try transfer.time(&growthTime, now: now)
  }
}

extension DynamicMemory.Request {
  fileprivate mutating func transfer(
    _ transfer: inout StateTransfer, canAdd: Bool, now: UInt64
  ) throws(StateError) {
    var (kind, pageCount, givenCount): (UInt8, UInt64, UInt64) = (0, 0, 0)
    switch self {
    case .none: break
    case .balloon(let asked, let given, _): (kind, pageCount, givenCount) = (1, asked, given)
    case .unballoon: kind = 2
    case .hotAdd: kind = 3
    }
    try transfer.integer(&kind, in: 0...(canAdd ? 3 : 2))
    guard kind != 0 else {
      self = .none
      return
    }
    var time = deadline ?? now
    try transfer.time(&time, now: now)
    switch kind {
    case 1:
      let most = DynamicMemory.maximumRequestPageCount
      try transfer.integer(&pageCount, in: 0...most)
      try transfer.integer(&givenCount, in: 0...UInt64(Int64.max))
      self = .balloon(pageCount: pageCount, givenCount: givenCount, deadline: time)
    case 2: self = .unballoon(deadline: time)
    default: self = .hotAdd(deadline: time)
    }
  }
}
