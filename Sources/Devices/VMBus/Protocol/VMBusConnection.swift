internal import DeviceKit

/// The control channel of VMBus, as a state machine: a guest's message in, the host's messages and
/// what becomes of channels out. No memory, no threads.
///
/// A message that makes no sense is dropped, or refused where the protocol has an answer for that;
/// a guest that loses its way makes contact again, which is a reset.
struct VMBusConnection: Sendable {
  /// What becomes of a channel. It has happened before the messages that go with it are sent.
  enum Change: Equatable, Sendable {
    case opened(channel: Int, rings: VMBusRingPages, vp: UInt32)
    /// The guest uses the channel's pages for something else as soon as it is told.
    case closed(channel: Int)
    case moved(channel: Int, vp: UInt32)
    /// What has not been delivered is for a guest that there is no more.
    case reset
  }

  /// What comes of a message.
  struct Reaction: Equatable, Sendable {
    var changes: [Change] = []
    var messages: [VMBusMessage] = []
  }

  fileprivate struct Channel: Sendable {
    enum State: Sendable {
      /// The guest does not know of it, or has let go of it.
      case hidden
      case offered
      case open(gpadl: UInt32)
      /// Taken back; its number is the guest's until it lets go of it.
      case rescinded
    }

    let offer: VMBusOffer
    var state = State.hidden

    var isOffered: Bool {
      switch state {
      case .offered, .open: true
      case .hidden, .rescinded: false
      }
    }
  }

  /// Of the first channel; each has its own, for good.
  private static let firstRelid: UInt32 = 1
  /// The connection of a channel's events is its number and this.
  private static let firstEventConnection: UInt32 = 16
  /// *VMBUS_MESSAGE_CONNECTION_ID*: all messages but a contact of 5.0 and later.
  static let messageConnection: UInt32 = 1
  /// *VMBUS_MESSAGE_CONNECTION_ID_4*: such a contact.
  static let contactConnection: UInt32 = 4
  /// *VMBUS_MESSAGE_SINT*: where guests take VMBus' messages and events.
  static let interruptSource: UInt32 = 2
  /// Lists of pages at a time, and pages in all of them: each channel needs one of some pages.
  private static let maximumListCount = 64
  private static let maximumPageCount = 16384

  /// Any value but 0 is a failure.
  private static let failure: UInt32 = 0xC000_0001

  private let vpCount: UInt32
  private var channels: [Channel]
  private var version: VMBusVersion?
  private var partialLists: [UInt32: PartialPageList] = [:]
  private var lists: [UInt32: (relid: UInt32, list: GuestPageList)] = [:]
  /// The VP that made contact: all messages go there.
  private(set) var messageVP: UInt32 = 0

  init(offers: [VMBusOffer], vpCount: Int) {
    channels = offers.map { Channel(offer: $0) }
    self.vpCount = UInt32(vpCount)
  }

  /// Where the guest signals that a channel has news.
  static func eventConnection(ofChannel index: Int) -> UInt32 {
    firstEventConnection + relid(ofChannel: index)
  }

  /// The channel's number, which is also its event flag.
  static func relid(ofChannel index: Int) -> UInt32 { firstRelid + UInt32(index) }

  private func index(_ relid: UInt32?) -> Int? {
    guard let relid, relid >= Self.firstRelid else { return nil }
    let index = Int(relid - Self.firstRelid)
    return channels.indices.contains(index) ? index : nil
  }

  // MARK: Messages

  /// Takes what the guest posted to a connection that exists.
  mutating func receive(_ bytes: [UInt8]) -> Reaction {
    var reaction = Reaction()
    guard let message = VMBusMessage(bytes) else { return reaction }
    switch (message.kind, version) {
    case (.initiateContact, _): makeContact(message, &reaction)
    case (.unload, _):
      reset(&reaction)
      reaction.messages.append(VMBusMessage(.unloadResponse))
    case (_, nil): break
    case (.requestOffers, _): offerAll(&reaction)
    case (.gpadlHeader, _): beginList(message, &reaction)
    case (.gpadlBody, _): continueList(message, &reaction)
    case (.gpadlTeardown, _): tearDown(message, &reaction)
    case (.open, _): open(message, &reaction)
    case (.close, _): close(message, &reaction)
    case (.relidReleased, _): release(message)
    case (.modify, let version?): modify(message, version, &reaction)
    default: break
    }
    return reaction
  }

  /// Takes a channel back, as its guest does not keep the rules: it may be offered again after a
  /// new contact.
  mutating func rescind(channel index: Int) -> Reaction {
    var reaction = Reaction()
    guard channels[index].isOffered else { return reaction }
    forceClosed(index, &reaction)
    channels[index].state = .rescinded
    var message = VMBusMessage(.rescind, byteCount: 12)
    message.store(Self.relid(ofChannel: index), at: 8)
    reaction.messages.append(message)
    return reaction
  }

  // MARK: Contact

  private mutating func makeContact(_ message: VMBusMessage, _ reaction: inout Reaction) {
    guard let asked = message.word(at: 8), let vp = message.word(at: 12), vp < vpCount,
      let place = message.word(at: 16)
    else { return }
    reset(&reaction)
    messageVP = vp
    let wanted = VMBusVersion(rawValue: asked)
    // From 5.0 on the guest says at which interrupt source, and in which trust level, it listens.
    let isReachable =
      wanted.rawValue < VMBusVersion.withPlace.rawValue || place & 0xFFFF == Self.interruptSource
    let isSupported = VMBusVersion.supported.contains(wanted) && isReachable
    version = isSupported ? wanted : nil
    var answer = VMBusMessage(.versionResponse, byteCount: 16)
    answer.store((isSupported ? 1 : 0) as UInt8, at: 8)
    answer.store(Self.messageConnection, at: 12)
    reaction.messages.append(answer)
  }

  /// Forgets all that the guest has said.
  private mutating func reset(_ reaction: inout Reaction) {
    for index in channels.indices {
      forceClosed(index, &reaction)
      channels[index].state = .hidden
    }
    version = nil
    partialLists = [:]
    lists = [:]
    reaction.changes.append(.reset)
  }

  private mutating func offerAll(_ reaction: inout Reaction) {
    for index in channels.indices {
      guard case .hidden = channels[index].state else { continue }
      channels[index].state = .offered
      reaction.messages.append(
        channels[index].offer.message(
          relid: Self.relid(ofChannel: index),
          connection: Self.eventConnection(ofChannel: index)))
    }
    reaction.messages.append(VMBusMessage(.allOffers))
  }

  private mutating func release(_ message: VMBusMessage) {
    guard let index = index(message.word(at: 8)), case .rescinded = channels[index].state else {
      return
    }
    channels[index].state = .hidden
  }

  // MARK: Pages

  private mutating func beginList(_ message: VMBusMessage, _ reaction: inout Reaction) {
    guard let relid = message.word(at: 8), let handle = message.word(at: 12) else { return }
    let count = lists.values.reduce(0) { $0 + $1.list.pages.count }
    guard let partial = PartialPageList(header: message), index(relid) != nil, handle != 0,
      lists[handle] == nil, lists.count + partialLists.count < Self.maximumListCount,
      count < Self.maximumPageCount
    else { return answerList(relid, handle, Self.failure, &reaction) }
    partialLists[handle] = partial
    finishList(handle, &reaction)
  }

  private mutating func continueList(_ message: VMBusMessage, _ reaction: inout Reaction) {
    guard let handle = message.word(at: 12), partialLists[handle] != nil else { return }
    partialLists[handle]?.add(body: message)
    finishList(handle, &reaction)
  }

  private mutating func finishList(_ handle: UInt32, _ reaction: inout Reaction) {
    guard let partial = partialLists[handle], let list = partial.whole else { return }
    partialLists[handle] = nil
    lists[handle] = (partial.relid, list)
    answerList(partial.relid, handle, 0, &reaction)
  }

  private func answerList(
    _ relid: UInt32, _ handle: UInt32, _ status: UInt32, _ reaction: inout Reaction
  ) {
    var answer = VMBusMessage(.gpadlCreated, byteCount: 20)
    answer.store(relid, at: 8)
    answer.store(handle, at: 12)
    answer.store(status, at: 16)
    reaction.messages.append(answer)
  }

  private mutating func tearDown(_ message: VMBusMessage, _ reaction: inout Reaction) {
    guard let handle = message.word(at: 12) else { return }
    // The channel lets go of the pages first, whether the guest closed it or not.
    for index in channels.indices {
      guard case .open(gpadl: handle) = channels[index].state else { continue }
      forceClosed(index, &reaction)
    }
    partialLists[handle] = nil
    lists[handle] = nil
    var answer = VMBusMessage(.gpadlTornDown, byteCount: 12)
    answer.store(handle, at: 8)
    reaction.messages.append(answer)
  }

  // MARK: Channels

  private mutating func open(_ message: VMBusMessage, _ reaction: inout Reaction) {
    guard let relid = message.word(at: 8), let openID = message.word(at: 12),
      let handle = message.word(at: 16), let vp = message.word(at: 20),
      let pageOffset = message.word(at: 24)
    else { return }
    var status = Self.failure
    if let index = index(relid), case .offered = channels[index].state, vp < vpCount,
      let entry = lists[handle], entry.relid == relid,
      let rings = VMBusRingPages(entry.list, secondStartsAt: Int(pageOffset))
    {
      channels[index].state = .open(gpadl: handle)
      reaction.changes.append(.opened(channel: index, rings: rings, vp: vp))
      status = 0
    }
    var answer = VMBusMessage(.openResult, byteCount: 20)
    answer.store(relid, at: 8)
    answer.store(openID, at: 12)
    answer.store(status, at: 16)
    reaction.messages.append(answer)
  }

  private mutating func close(_ message: VMBusMessage, _ reaction: inout Reaction) {
    guard let index = index(message.word(at: 8)) else { return }
    forceClosed(index, &reaction)
  }

  private mutating func forceClosed(_ index: Int, _ reaction: inout Reaction) {
    guard case .open = channels[index].state else { return }
    channels[index].state = .offered
    reaction.changes.append(.closed(channel: index))
  }

  private func modify(
    _ message: VMBusMessage, _ version: VMBusVersion, _ reaction: inout Reaction
  ) {
    guard version.canModify, let relid = message.word(at: 8), let vp = message.word(at: 12) else {
      return
    }
    var status = Self.failure
    if let index = index(relid), case .open = channels[index].state, vp < vpCount {
      reaction.changes.append(.moved(channel: index, vp: vp))
      status = 0
    }
    guard version.answersModify else { return }
    var answer = VMBusMessage(.modifyResponse, byteCount: 16)
    answer.store(relid, at: 8)
    answer.store(status, at: 12)
    reaction.messages.append(answer)
  }
}

// MARK: Saved machines

extension VMBusConnection {
  /// Saves or restores all that the guest has said.
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.constant(UInt32(channels.count), "the number of VMBus' devices is")
    var word = version?.rawValue
    try transfer.integer(&word)
    version = word.map { VMBusVersion(rawValue: $0) }
    try transfer.check(
      version.map { VMBusVersion.supported.contains($0) } ?? true, "no version of VMBus")
    try transfer.integer(&messageVP, in: 0...vpCount - 1)
    try transfer.elements(&channels) { (transfer, channel) throws(StateError) in
      try channel.transfer(&transfer)
    }
    try Self.transfer(&partialLists, &transfer, new: PartialPageList()) {
      (transfer, partial) throws(StateError) in try partial.transfer(&transfer)
    }
    try Self.transfer(&lists, &transfer, new: (0, GuestPageList(pages: []))) {
      (transfer, entry) throws(StateError) in
      try transfer.integer(&entry.relid)
      var pages = entry.list.pages
      try transfer.integers(&pages, maximumCount: GuestPageList.maximumPageCount)
      entry.list = GuestPageList(pages: pages)
    }
  }

  /// By their handles, in order.
  private static func transfer<T>(
    _ lists: inout [UInt32: T], _ transfer: inout StateTransfer, new: T,
    _ body: (inout StateTransfer, inout T) throws(StateError) -> Void
  ) throws(StateError) {
    var entries = lists.sorted { $0.key < $1.key }.map { (handle: $0.key, list: $0.value) }
    try transfer.elements(&entries, maximumCount: maximumListCount, new: (handle: 0, list: new)) {
      (transfer, entry) throws(StateError) in
      try transfer.integer(&entry.handle)
      try body(&transfer, &entry.list)
    }
    lists = [:]
    for entry in entries { lists[entry.handle] = entry.list }
  }

  /// Whether the guest has opened the channel.
  func isOpen(channel index: Int) -> Bool {
    if case .open = channels[index].state { true } else { false }
  }
}

extension VMBusConnection.Channel {
  fileprivate mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    var (kind, handle): (UInt8, UInt32) =
      switch state {
      case .hidden: (0, 0)
      case .offered: (1, 0)
      case .open(let gpadl): (2, gpadl)
      case .rescinded: (3, 0)
      }
    try transfer.integer(&kind, in: 0...3)
    try transfer.integer(&handle)
    switch kind {
    case 0: state = .hidden
    case 1: state = .offered
    case 2: state = .open(gpadl: handle)
    default: state = .rescinded
    }
  }
}
