internal import Bytes
public import DeviceKit
internal import GuestMemory
internal import HostSystem
internal import Synchronization

/// A network card (virtio 1.2 §5.1) at one end of a cable, with as many queues each way as its far
/// end has queue pairs, and one for control.
///
/// Of each pair one thread receives and one sends; both hold the queue's lock for a batch of frames
/// at a time, and none while they wait for the far end. Interrupts are left out as the driver asks
/// by the event index. The far end chooses by which pair a frame comes.
final class VirtioNet: VirtioModel {
  /// The queues of a driver that knows of one pair (§5.1.2).
  enum Queue {
    static let receive = 0
    static let send = 1
    static let control = 2
  }

  /// *struct virtio_net_hdr* with *num_buffers*, in front of every frame, both ways.
  static let headerByteCount = 12
  static let dataQueueSize: UInt16 = 512
  static let controlQueueSize: UInt16 = 64
  /// Frames for one holding of a queue's lock.
  static let batchCount = 64

  struct State: Sendable {
    var features: VirtioFeatures = []
    var filter: VirtioNetFilter
    /// What the driver takes unfinished, and what of it the far end has been told.
    var receiveOffloads: NetworkOffloads = []
    var toldOffloads: NetworkOffloads = []
    /// Pairs that the driver uses, and what of it the far end has been told.
    var pairCount = 1
    var toldPairCount = 1
    /// Frames for the driver wait at the far end.
    var isHeld = false
  }

  let link: VirtioLink
  let backend: any NetworkBackend
  let state: Guarded<State>
  /// The chain of the command at hand.
  let control = Guarded(VirtioChain())
  let pairs: [VirtioNetQueuePair]
  /// Where the control queue is for this driver: behind all pairs if it knows of them, behind the
  /// first if not. Changes while no queue is live only.
  private let controlIndex = Atomic(Queue.control)
  private let address: EthernetAddress
  private let turn: BackendTurn

  /// Pairs of a card at this cable.
  static func pairCount(_ backend: any NetworkBackend) -> Int {
    min(backend.queuePairs.count, VirtioPCIDevice.maximumNetworkQueuePairCount)
  }

  static func description(_ backend: any NetworkBackend) -> VirtioDescription {
    VirtioDescription(
      type: 1, classCode: 0x02_0000, features: .ofNetwork(backend),
      queueSizes: Array(repeating: dataQueueSize, count: 2 * pairCount(backend))
        + [controlQueueSize])
  }

  init(
    _ link: VirtioLink, _ backend: any NetworkBackend, address: EthernetAddress,
    onThreadStart: @escaping @Sendable () -> Void
  ) {
    self.link = link
    self.backend = backend
    self.address = address
    turn = BackendTurn(onBegin: { backend.start() }, onEnd: { backend.stop() })
    state = Guarded(State(filter: VirtioNetFilter(address: address)))
    pairs = backend.queuePairs.prefix(Self.pairCount(backend)).enumerated().map { index, pair in
      VirtioNetQueuePair(index, link, pair, onThreadStart: onThreadStart)
    }
  }

  // MARK: Life

  func start() throws(DeviceError) {
    turn.begin()
    for pair in pairs { try pair.start(self) }
  }

  func stop() {
    turn.end()
    for pair in pairs { pair.stop() }
  }

  func pause() throws(StateError) {
    state.withLock { $0.isHeld = true }
    for pair in pairs { try pair.pause() }
  }

  func resume() {
    state.withLock { $0.isHeld = false }
    for pair in pairs { pair.resume() }
  }

  func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    var hasLink = backend.hasLink
    try transfer.flag(&hasLink)
    let offered = VirtioFeatures.ofNetwork(backend).union(.ofTransport)
    try state.withLock { state throws(StateError) in
      try transfer.value(&state.features)
      try transfer.check(state.features.isSubset(of: offered), "features that were not offered")
      try state.filter.transfer(&transfer)
      try transfer.value(&state.receiveOffloads)
      try transfer.check(
        state.receiveOffloads.isSubset(of: state.features.receiveOffloads),
        "offloads that the driver does not have")
      // A card with one pair has nothing to choose.
      guard pairs.count > 1 else { return }
      try transfer.integer(&state.pairCount, in: 1...pairs.count)
      try transfer.check(
        state.pairCount == 1 || state.features.contains(.multiQueue),
        "\(state.pairCount) queue pairs of a driver that knows of one")
      if transfer.isRestoring { placeControlQueue(state.features) }
    }
    if hasLink != backend.hasLink { link.signals.noteChangedConfiguration() }
  }

  // MARK: The driver

  /// *struct virtio_net_config*: address, status, *max_virtqueue_pairs*, MTU.
  var configuration: [UInt8] {
    let status: UInt16 = backend.hasLink ? 1 : 0
    return address.bytes + [status, UInt16(pairs.count), backend.mtu ?? 0].littleEndianBytes
  }

  func driverStarted(_ features: VirtioFeatures) {
    placeControlQueue(features)
    state.withLock { state in
      state.features = features
      state.receiveOffloads = features.receiveOffloads
    }
    tellBackend()
  }

  func driverStopped() {
    placeControlQueue([])
    state.withLock { state in
      state.features = []
      state.filter = VirtioNetFilter(address: address)
      state.receiveOffloads = []
      state.pairCount = 1
    }
    // What waits for buffers is dropped, and the far end finishes frames again.
    for pair in pairs { pair.receiving.add(0) }
    tellBackend()
  }

  /// Has the first pair's sender tell the far end what the driver wants.
  func tellBackend() {
    pairs[0].sending.add(0)
  }

  func notify(_ queue: Int) {
    let control = controlQueueIndex
    if queue == control {
      serveControl(queue)
    } else if queue < control {
      let pair = pairs[queue / 2]
      (queue.isMultiple(of: 2) ? pair.receiving : pair.sending).add(0)
    }
    // Behind the control queue is nothing for a driver that knows of one pair.
  }

  // MARK: The place of the control queue

  /// With the lock of a live queue held it does not change: a reset waits for the lock before it
  /// moves the control queue, and queues begin after it was moved.
  var controlQueueIndex: Int { controlIndex.load(ordering: .acquiring) }

  private func placeControlQueue(_ features: VirtioFeatures) {
    let index = features.contains(.multiQueue) ? 2 * pairs.count : Queue.control
    controlIndex.store(index, ordering: .releasing)
  }
}

extension VirtioPCIDevice {
  /// Queue pairs that a network card has at most, with two threads each. More of the far end are
  /// left alone.
  package static let maximumNetworkQueuePairCount = 8

  /// A network card at the end of this cable. It offers as many queue pairs as `backend` has, but 8
  /// at most.
  ///
  /// - Parameter address: 6 bytes, of one card and no group.
  public static func network(
    _ backend: any NetworkBackend, address: [UInt8], context: PCIContext
  ) -> VirtioPCIDevice {
    precondition(
      address.count == EthernetAddress.byteCount && address[0] & 1 == 0,
      "an Ethernet address of \(address)")
    precondition(!backend.queuePairs.isEmpty, "a back-end without queue pairs")
    return VirtioPCIDevice(VirtioNet.description(backend), context: context) { link in
      VirtioNet(
        link, backend, address: EthernetAddress(address), onThreadStart: context.onThreadStart)
    }
  }
}
