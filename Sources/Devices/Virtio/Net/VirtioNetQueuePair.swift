internal import DeviceKit
internal import HostSystem

/// *receiveqN* and *transmitqN* of a card, the queue pair of its far end that they go with, and the
/// threads between them: one receives, one sends. Any thread.
final class VirtioNetQueuePair: Sendable {
  /// From 0 on, as its number is compared with counts: the specification's N less 1.
  let index: Int
  let receiveQueue: VirtioQueue
  let sendQueue: VirtioQueue
  let backend: any NetworkQueuePair
  /// The driver may have put in frames to send; of the first pair, also: the far end is to learn
  /// what the driver wants.
  let sending = WorkList(count: 1)
  /// The driver may have put in buffers for frames.
  let receiving = WorkList(count: 1)
  private let senders: DeviceThreads
  private let receivers: DeviceThreads

  init(
    _ index: Int, _ link: VirtioLink, _ backend: any NetworkQueuePair,
    onThreadStart: @escaping @Sendable () -> Void
  ) {
    self.index = index
    self.backend = backend
    receiveQueue = link.queues[2 * index]
    sendQueue = link.queues[2 * index + 1]
    senders = DeviceThreads(sending, onStart: onThreadStart)
    receivers = DeviceThreads(receiving, onStart: onThreadStart)
  }

  /// Starts its two threads, which look into both queues.
  func start(_ card: VirtioNet) throws(DeviceError) {
    sending.add(0)
    try senders.start(count: 1, kind: "network") { [self] in
      var sender = VirtioNetSender(card, self)
      while sending.next() != nil { sender.serve() }
    }
    try receivers.start(count: 1, kind: "network") { [self] in
      var receiver = VirtioNetReceiver(card, self)
      while receiver.serve() {}
    }
  }

  func stop() {
    senders.stop()
    receivers.stop()
  }

  /// Waits until nothing is sent. The thread that receives may be waiting for the far end, and is
  /// left there: what comes finds no buffers.
  func pause() throws(StateError) {
    receiving.hold()
    // Frames are delivered with the queue's lock held, and with a look at `isHeld` in it: those
    // that did not see it are done after this.
    waitForDelivery()
    try senders.pause()
  }

  func resume() {
    receiving.release()
    // Frames may have come meanwhile, of which no buffer will tell.
    receiving.add(0)
    senders.resume()
  }

  /// Waits until the batch that is being delivered is done: the next one sees the card's state of
  /// now.
  func waitForDelivery() {
    _ = receiveQueue.isLive
  }
}
