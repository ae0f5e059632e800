internal import Bytes
internal import DeviceKit
internal import GuestMemory
internal import HostSystem

/// The thread that receives by one queue pair. Frames come in batches from the far end and are
/// copied into the driver's buffers; while there are none the far end is held back. Frames for
/// which there is no driver, or by a pair that the driver does not use, are dropped.
struct VirtioNetReceiver {
  /// The most buffers for a frame: enough for the longest in buffers of 1 KiB.
  static let maximumBufferCount = 80

  private let card: VirtioNet
  private let pair: VirtioNetQueuePair
  /// The chains for one frame, used again and again.
  private var chains: [VirtioChain] = [VirtioChain()]

  init(_ card: VirtioNet, _ pair: VirtioNetQueuePair) {
    self.card = card
    self.pair = pair
  }

  /// Receives once, and waits for buffers if there were too few.
  ///
  /// - Returns: whether there is more to come.
  mutating func serve() -> Bool {
    var isShort = false
    switch pair.backend.receive({ frames in isShort = deliver(&frames) }) {
    case .frames:
      // Buffers, or a driver that has gone.
      return isShort ? pair.receiving.next() != nil : !pair.receiving.isOver
    case .linkChanged:
      card.link.configurationChanged()
      return !pair.receiving.isOver
    case .stopped:
      return false
    }
  }

  /// Hands over frames until there are none left, or no buffers.
  ///
  /// - Returns: whether buffers are missing.
  mutating func deliver(_ frames: inout NetworkFrames) -> Bool {
    while !frames.isEmpty {
      let isShort = pair.receiveQueue.work { (queue, memory) throws(VirtqueueFault) in
        let state = card.state.withLock { $0 }
        guard !state.isHeld else { return true }
        guard pair.index < state.pairCount else {
          frames.removeAll()
          return false
        }
        // Buffers are looked for when a frame is there; of more of them nothing needs to be known.
        try queue.disarm(memory)
        for _ in 0..<VirtioNet.batchCount where !frames.isEmpty {
          guard try deliverFirst(of: frames, state, &queue, memory) else { return true }
          frames.removeFirst()
        }
        return false
      }
      switch isShort {
      case true?: return true
      case false?: continue
      // No driver, or one that has done what none may do.
      case nil: frames.removeAll()
      }
    }
    return false
  }

  /// - Returns: whether the frame is done with: delivered, or not for this card; false if buffers
  ///   are missing, of which a notification comes.
  private mutating func deliverFirst(
    of frames: borrowing NetworkFrames, _ state: VirtioNet.State, _ queue: inout Virtqueue,
    _ memory: GuestMemory
  ) throws(VirtqueueFault) -> Bool {
    let isDone = try frames.withFirst { (frame) throws(VirtqueueFault) in
      var header = InlineHeader(frame, byteCount: frames.headerByteCount)
      let start = frames.headerByteCount
      guard state.filter.takes(EthernetAddress(frame, at: start)),
        header.isTaken(by: state.receiveOffloads)
      else { return true }
      let body = frame.extracting(start..<frame.byteCount)
      switch try take(
        VirtioNet.headerByteCount + body.byteCount,
        merges: state.features.contains(.mergeableBuffers), &queue, memory)
      {
      case .tooFew: return false
      case .none: return true
      case .chains(let count):
        header.bufferCount = UInt16(count)
        try write(header, body, count, &queue, memory)
        return true
      }
    }
    return isDone ?? true
  }

  private enum Room {
    /// So many of `chains`.
    case chains(Int)
    /// More may come.
    case tooFew
    /// However many come, the frame does not fit.
    case none
  }

  /// Takes the buffers for a frame with its header; if they are not all there, none.
  private mutating func take(
    _ byteCount: Int, merges: Bool, _ queue: inout Virtqueue, _ memory: GuestMemory
  ) throws(VirtqueueFault) -> Room {
    // Taking writes nothing: the copy is the queue as it was.
    let before = queue
    var (left, count) = (byteCount, 0)
    while left > 0 {
      guard count < (merges ? Self.maximumBufferCount : 1) else {
        queue = before
        return .none
      }
      if count == chains.count { chains.append(VirtioChain()) }
      guard try takeNext(&chains[count], &queue, memory) else {
        queue = before
        return .tooFew
      }
      if count == 0, chains[0].writableByteCount < VirtioNet.headerByteCount { throw .tooShort }
      left -= chains[count].writableByteCount
      count += 1
    }
    return .chains(count)
  }

  /// Takes one buffer, or has the driver notify the next: behind those that are taken already,
  /// which are not enough. A driver that put one in meanwhile, and took it back, waits in vain.
  private func takeNext(
    _ chain: inout VirtioChain, _ queue: inout Virtqueue, _ memory: GuestMemory
  ) throws(VirtqueueFault) -> Bool {
    if try queue.take(&chain, memory) { return true }
    guard try queue.arm(memory) else { return false }
    return try queue.take(&chain, memory)
  }

  private func write(
    _ header: InlineHeader, _ body: RawSpan, _ count: Int, _ queue: inout Virtqueue,
    _ memory: GuestMemory
  ) throws(VirtqueueFault) {
    var done = 0
    for index in 0..<count {
      let skipped = index == 0 ? VirtioNet.headerByteCount : 0
      if index == 0 { unsafe chains[0].write(header.bytes.span.bytes, memory) }
      let part = min(chains[index].writableByteCount - skipped, body.byteCount - done)
      chains[index].write(body.extracting(done..<(done + part)), at: skipped, memory)
      try queue.put(chains[index], byteCount: skipped + part, memory)
      done += part
    }
  }
}

/// The header that the driver gets in front of a frame: the far end's, if it has one.
private struct InlineHeader {
  private(set) var bytes: [12 of UInt8] = .init(repeating: 0)

  init(_ frame: RawSpan, byteCount: Int) {
    // The last two are *num_buffers*.
    for index in 0..<min(byteCount, 10) {
      bytes[index] = frame.loadLE(at: index)
    }
  }

  /// *num_buffers*.
  var bufferCount: UInt16 = 0 {
    didSet {
      bytes[10] = UInt8(truncatingIfNeeded: bufferCount)
      bytes[11] = UInt8(bufferCount >> 8)
    }
  }

  /// Whether the driver takes what is unfinished of the frame; the far end may be a step behind.
  func isTaken(by offloads: NetworkOffloads) -> Bool {
    // *VIRTIO_NET_HDR_F_NEEDS_CSUM*.
    if bytes[0] & 1 != 0, !offloads.contains(.checksum) { return false }
    if bytes[1] & 0x80 != 0, !offloads.contains(.ecn) { return false }
    switch bytes[1] & 0x7F {
    case 0: return true
    case 1: return offloads.contains(.tcp4)
    case 4: return offloads.contains(.tcp6)
    default: return false
    }
  }
}
