internal import Bytes
internal import DeviceKit
internal import GuestMemory

/// Transfers: of control and interrupt endpoints. Source: xHCI 1.2 §4.9 to §4.11.
extension XHCICore {
  /// What a host sends with a request: more is taken, and dropped.
  static let maximumReceivedByteCount = 64

  /// A block of a transfer, while it is carried out.
  private struct Block {
    let request: XHCITransferRequest
    let place: UInt64
    let slot: Int
    let index: Int

    /// Where it was, as events have it.
    var control: UInt32 { UInt32(slot) << 24 | UInt32(index) << 16 }
  }

  /// How a block ended.
  private enum Result {
    /// So many bytes went over the wire; short if the device had no more.
    case moved(Int, isShort: Bool = false)
    /// The transfer is over, and the endpoint halts.
    case failed(XHCICompletion)
    /// The block makes no sense here.
    case wrong
    /// The device has nothing to say yet: the block stays.
    case waiting
  }

  /// The next block of an endpoint's ring, if there is one.
  mutating func stepTransfer(
    _ number: Int, _ index: Int, _ memory: GuestMemory
  ) throws(XHCIMemoryFault) {
    guard var slot = slots[number], var endpoint = slot.endpoints[index] else { return }
    if endpoint.hasRestarted {
      endpoint.hasRestarted = false
      slot.endpoints[index] = endpoint
      try slot.storeEndpoint(index, memory)
    }
    guard endpoint.state == .running, let request = try endpoint.ring.peek(memory) else {
      endpoint.credit = 0
      slots[number]?.endpoints[index] = endpoint
      return
    }
    let block = Block(
      request: request, place: endpoint.ring.pointer, slot: number, index: index)
    if endpoint.transfer.isShort {
      try skip(block, &endpoint, memory)
    } else if request.kind == .eventData {
      try reportEventData(block, &endpoint, .success, memory)
      endpoint.pass(request)
    } else {
      let result: Result
      if request.kind == .noTransfer {
        result = .moved(request.transferByteCount)
      } else if index == XHCISlot.controlEndpoint {
        result = control(request, of: slot.port, &endpoint, memory)
      } else {
        result = report(request, of: slot.port, index, &endpoint, memory)
      }
      try end(block, result, &endpoint, memory)
    }
    slot.endpoints[index] = endpoint
    if endpoint.state != .running { try slot.storeEndpoint(index, memory) }
    slots[number]?.endpoints[index] = endpoint
  }

  // MARK: Events

  private mutating func end(
    _ block: Block, _ result: Result, _ endpoint: inout XHCIEndpoint, _ memory: GuestMemory
  ) throws(XHCIMemoryFault) {
    let request = block.request
    switch result {
    case .moved(let byteCount, let isShort):
      endpoint.transfer.eventByteCount =
        (endpoint.transfer.eventByteCount &+ UInt32(byteCount)) & 0xFF_FFFF
      if request.reportsCompletion || isShort && request.reportsShortPacket {
        let rest = request.kind == .setupStage ? 0 : request.transferByteCount - byteCount
        try report(block, isShort ? .shortPacket : .success, rest, memory)
        endpoint.transfer.hasReported = true
      }
      endpoint.transfer.isShort = isShort
      endpoint.pass(request)
    case .failed(let code):
      try report(block, code, request.transferByteCount, memory)
      endpoint.state = .halted
      endpoint.abandon()
    case .wrong:
      try report(block, .requestError, request.transferByteCount, memory)
      endpoint.state = .error
      endpoint.abandon()
    case .waiting:
      endpoint.credit = 0
      endpoint.isWaiting = true
    }
  }

  private mutating func report(
    _ block: Block, _ code: XHCICompletion, _ rest: Int, _ memory: GuestMemory
  ) throws(XHCIMemoryFault) {
    try post(
      .transferEvent, block.place, code, byteCount: UInt32(rest),
      control: block.control, raises: !block.request.blocksInterrupt, memory)
  }

  private mutating func reportEventData(
    _ block: Block, _ endpoint: inout XHCIEndpoint, _ code: XHCICompletion, _ memory: GuestMemory
  ) throws(XHCIMemoryFault) {
    if block.request.reportsCompletion {
      try post(
        .transferEvent, block.request.parameter, code,
        byteCount: endpoint.transfer.eventByteCount, control: block.control | 1 << 2,
        raises: !block.request.blocksInterrupt, memory)
      endpoint.transfer.hasReported = true
    }
    endpoint.transfer.eventByteCount = 0
  }

  /// What is left of a transfer that the device ended early: nothing is moved, but the guest may
  /// wait for an event of the last block.
  private mutating func skip(
    _ block: Block, _ endpoint: inout XHCIEndpoint, _ memory: GuestMemory
  ) throws(XHCIMemoryFault) {
    if block.request.kind == .eventData {
      try reportEventData(block, &endpoint, .shortPacket, memory)
    } else if block.request.reportsCompletion, !endpoint.transfer.hasReported {
      try report(block, .shortPacket, block.request.transferByteCount, memory)
      endpoint.transfer.hasReported = true
    }
    endpoint.pass(block.request)
  }

  // MARK: The control endpoint

  private mutating func control(
    _ request: XHCITransferRequest, of port: Int?, _ endpoint: inout XHCIEndpoint,
    _ memory: GuestMemory
  ) -> Result {
    if request.kind == .setupStage {
      guard request.isImmediate, request.transferByteCount == USBRequest.byteCount else {
        return .wrong
      }
      guard let port, ports[port].isActive else { return .failed(.transactionError) }
      var transfer = XHCIEndpoint.ControlTransfer(request: USBRequest(request.parameter))
      if transfer.request.hasInput {
        transfer.answer = ports[port].device?.answer(transfer.request)
      }
      endpoint.control = transfer
      return .moved(0)
    }
    guard var transfer = endpoint.control else { return .wrong }
    guard let port, ports[port].isActive else { return .failed(.transactionError) }
    let result: Result
    switch request.kind {
    case .dataStage,
      .normal where transfer.isInDataStage:
      if request.kind == .dataStage {
        // The device waits for the other direction.
        guard request.isInput == transfer.request.hasInput else { return .failed(.stall) }
        transfer.isInDataStage = true
      }
      if transfer.request.hasInput {
        guard case .done(let bytes) = transfer.answer else { return .failed(.stall) }
        result = Self.give(bytes, from: &transfer.offset, to: request, memory)
      } else {
        result = Self.take(from: request, to: &transfer.received, memory)
      }
      endpoint.control = transfer
    case .statusStage:
      endpoint.control = nil
      if !transfer.request.hasInput {
        transfer.answer = ports[port].device?.answer(transfer.request, transfer.received)
      }
      if case .stalled = transfer.answer { return .failed(.stall) }
      return .moved(request.transferByteCount)
    default: return .wrong
    }
    return result
  }

  private static func give(
    _ bytes: [UInt8], from offset: inout Int, to request: XHCITransferRequest,
    _ memory: GuestMemory
  ) -> Result {
    let room = request.transferByteCount
    let count = min(room, bytes.count - offset)
    if count > 0 {
      let part = Array(bytes[offset..<(offset + count)])
      guard !request.isImmediate, (try? memory.write(part, at: GPA(request.parameter))) != nil
      else { return .wrong }
      offset += count
    }
    return .moved(count, isShort: count < room)
  }

  private static func take(
    from request: XHCITransferRequest, to received: inout [UInt8], _ memory: GuestMemory
  ) -> Result {
    let room = request.transferByteCount
    let count = min(room, maximumReceivedByteCount - received.count)
    if request.isImmediate {
      guard room <= 8 else { return .wrong }
      received += request.parameter.littleEndianBytes.prefix(count)
    } else if count > 0 {
      guard let bytes = try? memory.read(at: GPA(request.parameter), byteCount: count) else {
        return .wrong
      }
      received += bytes
    }
    return .moved(room)
  }

  // MARK: Interrupt endpoints

  private mutating func report(
    _ request: XHCITransferRequest, of port: Int?, _ index: Int, _ endpoint: inout XHCIEndpoint,
    _ memory: GuestMemory
  ) -> Result {
    guard request.kind == .normal else { return .wrong }
    guard let port, index == HIDDescriptors.endpointIndex, ports[port].isEnabled,
      let device = ports[port].device, device.isConfigured
    else { return .failed(.transactionError) }
    guard ports[port].isActive else { return .waiting }
    guard !device.isHalted else { return .failed(.stall) }
    if endpoint.transfer.report == nil {
      guard let bytes = ports[port].device?.nextReport() else { return .waiting }
      endpoint.transfer.report = bytes
    }
    let bytes = endpoint.transfer.report ?? []
    let result = Self.give(bytes, from: &endpoint.transfer.offset, to: request, memory)
    // A packet that the guest has no room for.
    if case .moved = result, endpoint.transfer.offset < bytes.count, !request.isChained {
      return .failed(.babble)
    }
    return result
  }
}

extension XHCIEndpoint {
  /// Leaves a block; a transfer ends with its chain.
  fileprivate mutating func pass(_ request: XHCITransferRequest) {
    ring.advance()
    isWaiting = false
    if !request.isChained { transfer = Transfer() }
  }
}
