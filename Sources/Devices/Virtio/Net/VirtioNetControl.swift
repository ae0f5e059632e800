internal import Bytes
internal import DeviceKit
internal import GuestMemory
internal import HostSystem

/// A command of the control queue (virtio 1.2 §5.1.6.5), as its driver wrote it.
enum VirtioNetCommand: Equatable {
  case mode(VirtioNetFilter.Mode, Bool)
  case table(unicast: [EthernetAddress], multicast: [EthernetAddress])
  case address(EthernetAddress)
  /// *VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET* (§5.1.6.5.5).
  case queuePairCount(UInt16)
  case receiveOffloads(VirtioFeatures)

  /// Longer ones are refused: that is more than 600 addresses.
  static let maximumByteCount = 4096

  /// Reads a class, a command and what follows; nil for what is not known or is not whole.
  init?(_ bytes: [UInt8]) {
    guard bytes.count >= 3 else { return nil }
    switch (bytes[0], bytes[1]) {
    case (0, let number):
      guard let mode = VirtioNetFilter.Mode(rawValue: number) else { return nil }
      self = .mode(mode, bytes[2] != 0)
    case (1, 0):
      var place = 2
      guard let unicast = Self.addresses(bytes, &place),
        let multicast = Self.addresses(bytes, &place)
      else { return nil }
      self = .table(unicast: unicast, multicast: multicast)
    case (1, 1):
      guard bytes.count >= 2 + EthernetAddress.byteCount else { return nil }
      self = .address(EthernetAddress(bytes, at: 2))
    case (4, 0):
      guard let count = bytes.loadLE(at: 2, byteCount: 2) else { return nil }
      self = .queuePairCount(UInt16(truncatingIfNeeded: count))
    case (5, 0):
      guard let bits = bytes.loadLE(at: 2, byteCount: 8) else { return nil }
      self = .receiveOffloads(VirtioFeatures(rawValue: bits))
    default:
      return nil
    }
  }

  /// A count of 4 bytes, then so many addresses, which are all there.
  private static func addresses(_ bytes: [UInt8], _ place: inout Int) -> [EthernetAddress]? {
    guard let count = bytes.loadLE(at: place, byteCount: 4) else { return nil }
    place += 4
    guard count <= UInt64((bytes.count - place) / EthernetAddress.byteCount) else { return nil }
    defer { place += Int(count) * EthernetAddress.byteCount }
    return (0..<Int(count)).map { index in
      EthernetAddress(bytes, at: place + index * EthernetAddress.byteCount)
    }
  }
}

extension VirtioNet {
  /// Carries out what waits in the control queue: on the vCPU's thread, as drivers wait for it, and
  /// memory is all it needs. A round for each entry of the ring, twice, and no more.
  ///
  /// - Parameter index: where the control queue was when the driver notified.
  func serveControl(_ index: Int) {
    control.withLock { chain in
      _ = link.queues[index].work { (queue, memory) throws(VirtqueueFault) in
        // A driver that resets the card meanwhile may have other requests here.
        guard index == controlQueueIndex else { return }
        for _ in 0..<2 * Int(queue.entryCount) {
          guard try queue.take(&chain, memory) else {
            if try queue.arm(memory) { continue }
            return
          }
          let isDone = try carryOut(chain, memory)
          // *ack*: VIRTIO_NET_OK or VIRTIO_NET_ERR.
          guard chain.writableByteCount > 0 else { throw .tooShort }
          unsafe chain.write(([isDone ? 0 : 1] as [UInt8]).span.bytes, memory)
          try queue.put(chain, byteCount: 1, memory)
        }
      }
    }
  }

  private func carryOut(
    _ chain: borrowing VirtioChain, _ memory: GuestMemory
  ) throws(VirtqueueFault) -> Bool {
    guard chain.readableByteCount <= VirtioNetCommand.maximumByteCount else { return false }
    var bytes: [UInt8] = []
    try chain.read(into: &bytes, memory)
    guard let command = VirtioNetCommand(bytes) else { return false }
    return carryOut(command)
  }

  /// - Returns: whether the driver has taken the feature that the command is of, and the command is
  ///   possible.
  private func carryOut(_ command: VirtioNetCommand) -> Bool {
    guard state.withLock({ apply(command, to: &$0) }) else { return false }
    switch command {
    case .receiveOffloads: tellBackend()
    case .queuePairCount(let count): leavePairs(from: Int(count))
    default: break
    }
    return true
  }

  private func apply(_ command: VirtioNetCommand, to state: inout State) -> Bool {
    switch command {
    case .mode(let mode, let isOn):
      let feature: VirtioFeatures = mode.rawValue < 2 ? .controlReceive : .controlReceiveMore
      guard state.features.contains(feature) else { return false }
      state.filter.set(mode, isOn)
    case .table(let unicast, let multicast):
      guard state.features.contains(.controlReceive) else { return false }
      state.filter.setTable(unicast: unicast, multicast: multicast)
    case .address(let address):
      guard state.features.contains(.controlAddress) else { return false }
      state.filter.address = address
    case .queuePairCount(let count):
      guard state.features.contains(.multiQueue), (1...pairs.count).contains(Int(count)) else {
        return false
      }
      state.pairCount = Int(count)
    case .receiveOffloads(let wanted):
      guard state.features.contains(.controlGuestOffloads), wanted.isSubset(of: state.features)
      else { return false }
      state.receiveOffloads = wanted.receiveOffloads
    }
    return true
  }

  /// The driver uses so many pairs now: when the command is answered the others deliver nothing
  /// (§5.1.6.5.5.1). Frames that are in their queues to be sent still are.
  ///
  /// Waits for the locks of their receive queues with the control queue's held; nothing waits for
  /// that one with theirs.
  private func leavePairs(from count: Int) {
    for pair in pairs[count...] {
      pair.waitForDelivery()
      // Frames that wait for buffers are dropped.
      pair.receiving.add(0)
    }
    tellBackend()
  }
}
