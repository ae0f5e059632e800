internal import DeviceKit
internal import GuestMemory
internal import HostSystem

/// The part of the card that vCPUs come to with registers, and its two threads: one sends, one
/// receives.
///
/// Lock order: the thread's own, the card's, then those of the endpoint. The far end is waited for
/// without the card's lock.
final class E1000EEngine: Sendable {
  private let endpoint: PCIEndpoint
  private let backend: any NetworkBackend
  private let core: Guarded<E1000ECore>
  /// Each has one number: there may be frames to send, and frames that wait may be taken.
  let transmitWork = WorkList(count: 1)
  let receiveWork = WorkList(count: 1)
  private let transmitter: Guarded<Transmitter>
  private let scratch = Guarded([UInt8](repeating: 0, count: E1000ECore.longByteCount + 4))

  /// What the thread that sends has.
  private struct Transmitter {
    /// Of each queue.
    var packets = [E1000EPacket(), E1000EPacket()]
    var segmenter = E1000ESegmenter()
    var frames: NetworkFrames
  }

  init(endpoint: PCIEndpoint, address: [UInt8], backend: any NetworkBackend) {
    self.endpoint = endpoint
    self.backend = backend
    core = Guarded(E1000ECore(address: address, hasCarrier: backend.hasLink))
    transmitter = Guarded(Transmitter(frames: NetworkFrames(for: backend)))
  }

  // MARK: Registers, on vCPU threads

  /// Reads 1, 2, 4 or 8 bytes.
  func read(offset: UInt64, width: Int) -> UInt64 {
    core.withLock { core in
      let low = offset & ~3
      var value = UInt64(core.read(low))
      if (offset & 3) + UInt64(width) > 4, low + 4 < E1000ECore.registerByteCount {
        value |= UInt64(core.read(low + 4)) << 32
      }
      // No other register changes causes or masks when it is read.
      if (low..<offset + UInt64(width)).contains(E1000ERegister.cause) {
        core.updateInterrupts(endpoint)
      }
      return value >> (8 * (offset & 3))
    }
  }

  /// Writes 4 or 8 bytes at a multiple of 4; others are dropped, as the card knows no narrower
  /// ones.
  func write(offset: UInt64, width: Int, value: UInt64) {
    guard width >= 4, offset % 4 == 0 else { return }
    change { core in
      var consequences: E1000ECore.Consequences = []
      for half in 0..<UInt64(width / 4) where offset + 4 * half < E1000ECore.registerByteCount {
        consequences.formUnion(
          core.write(offset + 4 * half, UInt32(truncatingIfNeeded: value >> (32 * half))))
      }
      return consequences
    }
  }

  /// Follows *Bus Master*, for which frames may have waited, and the control of messages.
  func configurationChanged() {
    change { _ in [.interrupts, .transmit, .receive] }
  }

  /// Everything as after power-on; no frame is on its way to guest memory after that.
  func reset() {
    change { core in
      core.reset()
      return [.interrupts, .receive]
    }
  }

  private func change(_ body: (inout E1000ECore) -> E1000ECore.Consequences) {
    let (transmits, receives) = core.withLock { core in
      let consequences = body(&core)
      if consequences.contains(.interrupts) { core.updateInterrupts(endpoint) }
      let receives = consequences.contains(.receive) && core.isShortOfBuffers
      if receives { core.isShortOfBuffers = false }
      return (consequences.contains(.transmit), receives)
    }
    if transmits { transmitWork.add(0) }
    if receives { receiveWork.add(0) }
  }

  // MARK: Sending, on a thread of its own

  /// Sends until the list is closed.
  func serveTransmit() {
    while transmitWork.next() != nil { transmit() }
  }

  /// Sends what the rings have.
  func transmit() {
    transmitter.withLock { transmitter in
      var goesOn = true
      // The rest waits for the end of a pause.
      defer { if transmitWork.isAtRest { transmitWork.add(0) } }
      while goesOn, !transmitWork.isAtRest {
        goesOn = false
        while transmitter.frames.byteCount < Self.batchByteCount, gather(&transmitter) {
          goesOn = true
        }
        flush(&transmitter)
      }
    }
  }
  /// What is sent without looking for more.
  private static let batchByteCount = 32 * 1024

  /// Takes a packet from each queue that has one.
  ///
  /// - Returns: whether there was something.
  private func gather(_ transmitter: inout Transmitter) -> Bool {
    var hasWorked = false
    for queue in 0..<2 {
      let (result, vlanType) = core.withLock { core -> (E1000ECore.Gathering, UInt16) in
        guard let memory = endpoint.memory else { return (.nothing, 0) }
        let result = core.gather(queue, into: &transmitter.packets[queue], memory)
        let goes = result == .packet && !core.hasLink ? .unfinished : result
        return (goes, UInt16(truncatingIfNeeded: core[E1000ERegister.vlanType]))
      }
      if result != .nothing { hasWorked = true }
      guard result == .packet else { continue }
      transmitter.segmenter.begin(transmitter.packets[queue])
      while !transmitter.segmenter.add(
        transmitter.packets[queue], vlanType: vlanType, to: &transmitter.frames)
      {
        guard !transmitWork.isOver else { return false }
        backend.send(&transmitter.frames)
      }
    }
    return hasWorked
  }

  private func flush(_ transmitter: inout Transmitter) {
    if !transmitter.frames.isEmpty { backend.send(&transmitter.frames) }
    let counts = transmitter.segmenter.takeCounts()
    core.withLock { core in
      core.noteSent(counts)
      core.updateInterrupts(endpoint)
    }
  }

  // MARK: Receiving, on another

  /// Receives until the far end is stopped, and the list closed.
  func serveReceive() {
    while true {
      var waits = false
      switch backend.receive({ waits = !deliver(&$0) }) {
      case .stopped: return
      case .linkChanged:
        core.withLock { core in
          if !core.isHeld { followCarrier(&core) }
        }
      case .frames:
        if waits, receiveWork.next() == nil { return }
      }
    }
  }

  private func followCarrier(_ core: inout E1000ECore) {
    core.setCarrier(backend.hasLink)
    core.updateInterrupts(endpoint)
  }

  /// Gives frames to the guest, or drops what it does not want.
  ///
  /// - Returns: false if frames are left, for which there are no buffers, or which wait.
  func deliver(_ frames: inout NetworkFrames) -> Bool {
    scratch.withLock { scratch in
      core.withLock { core in
        guard !core.isHeld else { return false }
        defer { core.updateInterrupts(endpoint) }
        let memory = endpoint.memory
        let skipped = frames.headerByteCount
        while true {
          let result = frames.withFirst { frame in
            core.receive(frame.extracting(skipped..<frame.byteCount), memory, scratch: &scratch)
          }
          switch result {
          case nil: return true
          case .waits: return false
          case .taken, .dropped: frames.removeFirst()
          }
        }
      }
    }
  }
}

extension E1000EEngine {
  /// Leaves frames, and changes of the link, at the far end. The thread that receives may be
  /// waiting there: it is not woken.
  func hold() {
    receiveWork.hold()
    core.withLock { $0.isHeld = true }
  }

  /// Goes on with the far end as it is now.
  func release() {
    core.withLock { core in
      core.isHeld = false
      followCarrier(&core)
    }
    receiveWork.release()
    // Frames may have come meanwhile, of which no buffer will tell.
    receiveWork.add(0)
  }

  /// Saves or restores it, while nothing is sent or received.
  func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try transmitter.withLock { transmitter throws(StateError) in
      let hasParts = try core.withLock { core throws(StateError) in
        try core.transfer(&transfer)
        if transfer.isRestoring {
          endpoint.setPin(!endpoint.usesMSIX && !core.causes.isDisjoint(with: core.mask))
        }
        return core.transmitQueues.map(\.isInPacket)
      }
      for queue in hasParts.indices where hasParts[queue] {
        try transmitter.packets[queue].transfer(&transfer)
      }
    }
  }
}
