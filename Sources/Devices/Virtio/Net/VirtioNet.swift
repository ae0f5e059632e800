internal import Bytes
public import DeviceKit
internal import GuestMemory
internal import HostSystem

/// A network card (virtio 1.2 §5.1) at one end of a cable, with one queue each way and one for
/// control.
///
/// One thread receives, one sends; both hold the queue's lock for a batch of frames at a time, and
/// none while they wait for the far end. Interrupts are left out as the driver asks by the event
/// index.
final class VirtioNet: VirtioModel {
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
    /// Frames for the driver wait at the far end.
    var isHeld = false
  }

  let link: VirtioLink
  let backend: any NetworkBackend
  let state: Guarded<State>
  /// The chain of the command at hand.
  let control = Guarded(VirtioChain())
  /// The driver may have put in frames to send, or wants other offloads.
  let sending = WorkList(count: 1)
  /// The driver may have put in buffers for frames.
  let receiving = WorkList(count: 1)
  private let address: EthernetAddress
  private let turn: BackendTurn
  private let senders: DeviceThreads
  private let receivers: DeviceThreads

  static func description(_ backend: any NetworkBackend) -> VirtioDescription {
    VirtioDescription(
      type: 1, classCode: 0x02_0000, features: .ofNetwork(backend),
      queueSizes: [dataQueueSize, dataQueueSize, controlQueueSize])
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
    senders = DeviceThreads(sending, onStart: onThreadStart)
    receivers = DeviceThreads(receiving, onStart: onThreadStart)
  }

  // MARK: Life

  func start() throws(DeviceError) {
    turn.begin()
    sending.add(0)
    try senders.start(count: 1, kind: "network") { [self] in
      var sender = VirtioNetSender(self)
      while sending.next() != nil { sender.serve() }
    }
    try receivers.start(count: 1, kind: "network") { [self] in
      var receiver = VirtioNetReceiver(self)
      while receiver.serve() {}
    }
  }

  func stop() {
    turn.end()
    senders.stop()
    receivers.stop()
  }

  /// The thread that receives may be waiting for the far end, and is left there: what comes finds
  /// no buffers.
  func pause() throws(StateError) {
    receiving.hold()
    state.withLock { $0.isHeld = true }
    // Frames are delivered with the queue's lock held, and with a look at `isHeld` in it: those
    // that did not see it are done after this.
    _ = link.queues[Queue.receive].isLive
    try senders.pause()
  }

  func resume() {
    state.withLock { $0.isHeld = false }
    receiving.release()
    // Frames may have come meanwhile, of which no buffer will tell.
    receiving.add(0)
    senders.resume()
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
    }
    if hasLink != backend.hasLink { link.signals.noteChangedConfiguration() }
  }

  // MARK: The driver

  /// *struct virtio_net_config*: address, status, queue pairs, MTU.
  var configuration: [UInt8] {
    let status: UInt16 = backend.hasLink ? 1 : 0
    return address.bytes + [status, 1, backend.mtu ?? 0].littleEndianBytes
  }

  func driverStarted(_ features: VirtioFeatures) {
    state.withLock { state in
      state.features = features
      state.receiveOffloads = features.receiveOffloads
    }
    sending.add(0)
  }

  func driverStopped() {
    state.withLock { state in
      state.features = []
      state.filter = VirtioNetFilter(address: address)
      state.receiveOffloads = []
    }
    // What waits for buffers is dropped, and the far end finishes frames again.
    receiving.add(0)
    sending.add(0)
  }

  func notify(_ queue: Int) {
    switch queue {
    case Queue.receive: receiving.add(0)
    case Queue.send: sending.add(0)
    default: serveControl()
    }
  }
}

extension VirtioPCIDevice {
  /// A network card at the end of this cable.
  ///
  /// - Parameter address: 6 bytes, of one card and no group.
  public static func network(
    _ backend: any NetworkBackend, address: [UInt8], context: PCIContext
  ) -> VirtioPCIDevice {
    precondition(
      address.count == EthernetAddress.byteCount && address[0] & 1 == 0,
      "an Ethernet address of \(address)")
    return VirtioPCIDevice(VirtioNet.description(backend), context: context) { link in
      VirtioNet(
        link, backend, address: EthernetAddress(address), onThreadStart: context.onThreadStart)
    }
  }
}
