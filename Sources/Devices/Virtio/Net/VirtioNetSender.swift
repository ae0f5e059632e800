internal import DeviceKit
internal import Glibc
internal import GuestMemory
internal import HostSystem

/// The thread that sends by one queue pair. Frames are copied out in batches, and their buffers go
/// back to the driver at once; while the far end does not take them the queue fills up, which holds
/// the driver back.
struct VirtioNetSender {
  private let card: VirtioNet
  private let pair: VirtioNetQueuePair
  private var frames: NetworkFrames
  private var chain = VirtioChain()

  init(_ card: VirtioNet, _ pair: VirtioNetQueuePair) {
    self.card = card
    self.pair = pair
    frames = NetworkFrames(for: card.backend)
  }

  /// Sends all that waits.
  mutating func serve() {
    if pair.index == 0 { tellBackend() }
    var isLast = false
    while !pair.sending.isAtRest {
      let batch = takeBatch(isLast: isLast)
      if !frames.isEmpty { pair.backend.send(&frames) }
      switch batch {
      case .full: isLast = false
      case .short:
        // A driver on the same processor was stopped by our waking up, after its first frame. The
        // next ones are there when it has run, and it need not notify them.
        sched_yield()
        isLast = true
      case .last: return
      }
    }
    // The rest waits for the end of a pause.
    pair.sending.add(0)
  }

  /// Here and not where the driver asks for it: the call is this thread's to make.
  private func tellBackend() {
    let (offloads, pairCount) = card.state.withLock { state -> (NetworkOffloads?, Int?) in
      let offloads = state.toldOffloads == state.receiveOffloads ? nil : state.receiveOffloads
      let pairCount = state.toldPairCount == state.pairCount ? nil : state.pairCount
      (state.toldOffloads, state.toldPairCount) = (state.receiveOffloads, state.pairCount)
      return (offloads, pairCount)
    }
    if let offloads { card.backend.setReceiveOffloads(offloads) }
    if let pairCount { card.backend.setQueuePairCount(pairCount) }
  }

  private enum Batch {
    /// There may be more.
    case full
    /// There are no more, and the driver will not notify the next.
    case short
    /// There are no more, and the driver will notify the next.
    case last
  }

  /// Takes as many frames as a batch and the buffer have room for.
  ///
  /// - Parameter isLast: whether the driver is to notify what comes after it.
  private mutating func takeBatch(isLast: Bool) -> Batch {
    pair.sendQueue.work { (queue, memory) throws(VirtqueueFault) in
      // Of a driver that knows of one pair this is none of the card's queues.
      guard 2 * pair.index < card.controlQueueIndex else { return .last }
      try queue.disarm(memory)
      for _ in 0..<VirtioNet.batchCount where frames.hasRoom {
        guard try queue.take(&chain, memory) else {
          guard isLast else { return .short }
          return try queue.arm(memory) ? .full : .last
        }
        try append(memory)
        try queue.put(chain, byteCount: 0, memory)
      }
      return .full
    } ?? .last
  }

  /// A chain without a whole header, or with a frame that no cable takes, is answered and sent
  /// nowhere.
  private mutating func append(_ memory: GuestMemory) throws(VirtqueueFault) {
    let byteCount = chain.readableByteCount - VirtioNet.headerByteCount
    guard byteCount >= 14, byteCount <= frames.maximumByteCount - frames.headerByteCount else {
      return
    }
    frames.begin()
    do throws(VirtqueueFault) {
      if frames.headerByteCount > 0 { try appendHeader(memory) }
      try appendBody(memory)
      frames.finish()
    } catch {
      frames.abandon()
      throw error
    }
  }

  /// Copies the driver's header over the far end's, which is the same except for *num_buffers*.
  private mutating func appendHeader(_ memory: GuestMemory) throws(VirtqueueFault) {
    var header: [UInt8] = []
    try chain.read(limit: VirtioNet.headerByteCount, into: &header, memory)
    let count = min(frames.headerByteCount, 10)
    frames.withOpen { bytes in
      for index in 0..<count {
        bytes.storeBytes(of: header[index], toByteOffset: index, as: UInt8.self)
      }
    }
  }

  private mutating func appendBody(_ memory: GuestMemory) throws(VirtqueueFault) {
    try chain.forEachReadable(from: VirtioNet.headerByteCount) { (piece) throws(VirtqueueFault) in
      try frames.extend(byCount: piece.byteCount) {
        (bytes: inout MutableRawSpan) throws(VirtqueueFault) in
        do {
          try memory.read(at: piece.start, into: &bytes)
        } catch {
          throw .notRAM
        }
      }
    }
  }
}
