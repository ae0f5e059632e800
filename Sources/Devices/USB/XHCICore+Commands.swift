internal import Bytes
internal import DeviceKit
internal import GuestMemory

/// The commands. Source: xHCI 1.2 §4.6.
extension XHCICore {
  /// The next command of the ring, if there is one.
  mutating func stepCommand(_ memory: GuestMemory) throws(XHCIMemoryFault) {
    guard isCommandRingRunning, let request = try commandRing.peek(memory) else {
      commandCredit = 0
      return
    }
    let place = commandRing.pointer
    commandRing.advance()
    var slot = request.slot
    let code: XHCICompletion
    if request.kind == .enableSlot {
      slot = enableSlot()
      code = slot == 0 ? .noSlots : .success
    } else {
      if request.kind == .stopEndpoint { try reportLast(slot, request.endpoint, memory) }
      code = try execute(request, memory)
    }
    try post(.commandCompletion, place, code, control: UInt32(slot) << 24, memory)
  }

  /// What was moved is reported before an endpoint stops: *Event Data* that is next is no block of
  /// its own.
  private mutating func reportLast(
    _ slot: Int, _ index: Int, _ memory: GuestMemory
  ) throws(XHCIMemoryFault) {
    guard slots.indices.contains(slot), var endpoint = slots[slot]?.endpoints[index],
      endpoint.state == .running, endpoint.credit > 0,
      try endpoint.ring.peek(memory)?.kind == .eventData
    else { return }
    try stepTransfer(slot, index, memory)
  }

  private mutating func enableSlot() -> Int {
    let enabled = min(Int(configuration & 0xFF), Self.slotCount)
    guard let slot = (1...Self.slotCount).first(where: { slots[$0] == nil }), slot <= enabled else {
      return 0
    }
    slots[slot] = XHCISlot()
    return slot
  }

  private mutating func execute(
    _ request: XHCITransferRequest, _ memory: GuestMemory
  ) throws(XHCIMemoryFault) -> XHCICompletion {
    switch request.kind {
    case .noCommand: return .success
    case .disableSlot, .addressDevice, .configureEndpoint, .evaluateContext, .resetEndpoint,
      .stopEndpoint, .setDequeuePointer, .resetDevice:
      break
    // Also what the controller says it does not have: force event, bandwidth, latency.
    default: return .requestError
    }
    let number = request.slot
    guard slots.indices.contains(number), var slot = slots[number] else { return .slotNotEnabled }
    let code: XHCICompletion
    switch request.kind {
    case .disableSlot:
      if slot.contexts != 0 {
        try slot.store(address: 0, isDisabled: true, memory)
      }
      slots[number] = nil
      return .success
    case .addressDevice: code = try addressDevice(request, number, &slot, memory)
    case .configureEndpoint: code = try configureEndpoints(request, &slot, memory)
    case .evaluateContext: code = try evaluateContext(request, &slot, memory)
    case .resetDevice: code = try resetDevice(&slot, memory)
    default: code = try changeEndpoint(request, &slot, memory)
    }
    slots[number] = slot
    return code
  }

  /// An *Input Context*: what is to be dropped and added, and contexts behind.
  private struct InputContext {
    let bytes: [UInt8]

    /// Nil where there is no RAM: the guest's mistake, and no more.
    init?(_ request: XHCITransferRequest, _ memory: GuestMemory) {
      let byteCount = XHCISlot.contextByteCount * (XHCISlot.contextCount + 1)
      guard let bytes = try? memory.read(at: GPA(request.parameter & ~0xF), byteCount: byteCount)
      else { return nil }
      self.bytes = bytes
    }

    var dropped: UInt32 { bytes.loadLE(at: 0) }
    var added: UInt32 { bytes.loadLE(at: 4) }

    /// - Parameter index: 0 for the slot's.
    func context(_ index: Int) -> [UInt8] {
      let start = XHCISlot.contextByteCount * (index + 1)
      return Array(bytes[start..<(start + XHCISlot.contextByteCount)])
    }
  }

  private mutating func addressDevice(
    _ request: XHCITransferRequest, _ number: Int, _ slot: inout XHCISlot, _ memory: GuestMemory
  ) throws(XHCIMemoryFault) -> XHCICompletion {
    /// *Block Set Address Request*.
    let blocksAddress = request.control & 1 << 9 != 0
    guard slot.state == .enabled || !blocksAddress && slot.state == .isDefault else {
      return .contextStateError
    }
    guard let input = InputContext(request, memory), input.dropped == 0, input.added & 3 == 3 else {
      return .requestError
    }
    let context = input.context(0)
    guard let endpoint = XHCIEndpoint(input.context(1), index: XHCISlot.controlEndpoint) else {
      return .parameterError
    }
    let port = Int(context[6]) - 1
    // No hubs, so no route.
    guard ports.indices.contains(port), context.loadLE(at: 0, as: UInt32.self) & 0xF_FFFF == 0
    else { return .parameterError }
    guard !slots.indices.contains(where: { $0 != number && slots[$0]?.port == port }) else {
      return .requestError
    }
    guard ports[port].isActive else { return .transactionError }
    slot.contexts = try memory.loadXHCI(at: contextArray &+ 8 * UInt64(number)) & ~0x3F
    slot.port = port
    slot.context = context
    slot.state = blocksAddress ? .isDefault : .addressed
    slot.endpoints[XHCISlot.controlEndpoint] = endpoint
    try slot.storeEndpoint(XHCISlot.controlEndpoint, memory)
    try slot.store(address: blocksAddress ? 0 : UInt8(number), memory)
    return .success
  }

  private func configureEndpoints(
    _ request: XHCITransferRequest, _ slot: inout XHCISlot, _ memory: GuestMemory
  ) throws(XHCIMemoryFault) -> XHCICompletion {
    guard slot.state == .addressed || slot.state == .configured else { return .contextStateError }
    let others = (XHCISlot.controlEndpoint + 1)..<XHCISlot.contextCount
    var endpoints = slot.endpoints
    var touched: [Int] = []
    /// *Deconfigure*.
    if request.control & 1 << 9 != 0 {
      touched = others.filter { endpoints[$0] != nil }
      for index in touched { endpoints[index] = nil }
      slot.setEntryCount(1)
    } else {
      guard let input = InputContext(request, memory), input.dropped & 3 == 0,
        input.added & 2 == 0
      else { return .requestError }
      for index in others {
        let bit: UInt32 = 1 << UInt32(index)
        guard (input.dropped | input.added) & bit != 0 else { continue }
        touched.append(index)
        endpoints[index] = nil
        guard input.added & bit != 0 else { continue }
        guard let endpoint = XHCIEndpoint(input.context(index), index: index) else {
          return .parameterError
        }
        endpoints[index] = endpoint
      }
      if input.added & 1 != 0 { slot.setEntryCount(input.context(0)[3] >> 3) }
    }
    slot.endpoints = endpoints
    slot.state = slot.hasConfiguredEndpoints ? .configured : .addressed
    for index in touched { try slot.storeEndpoint(index, memory) }
    try slot.store(address: slot.context[12], memory)
    return .success
  }

  private func evaluateContext(
    _ request: XHCITransferRequest, _ slot: inout XHCISlot, _ memory: GuestMemory
  ) throws(XHCIMemoryFault) -> XHCICompletion {
    guard slot.state != .enabled else { return .contextStateError }
    guard let input = InputContext(request, memory), input.dropped == 0 else {
      return .requestError
    }
    if input.added & 2 != 0 {
      let context = input.context(XHCISlot.controlEndpoint)
      let byteCount: UInt16 = context.loadLE(at: 6)
      guard byteCount > 0 else { return .parameterError }
      slot.endpoints[XHCISlot.controlEndpoint]?.maximumPacketByteCount = byteCount
      try slot.storeEndpoint(XHCISlot.controlEndpoint, memory)
    }
    if input.added & 1 != 0 {
      let context = input.context(0)
      // *Max Exit Latency*, *Interrupter Target*.
      slot.context.storeLE(context.loadLE(at: 4, as: UInt16.self), at: 4)
      let target = context.loadLE(at: 8, as: UInt32.self) & ~0x3F_FFFF
      slot.context.storeLE(
        slot.context.loadLE(at: 8, as: UInt32.self) & 0x3F_FFFF | target, at: 8)
      try slot.store(address: slot.context[12], memory)
    }
    return .success
  }

  private mutating func resetDevice(
    _ slot: inout XHCISlot, _ memory: GuestMemory
  ) throws(XHCIMemoryFault) -> XHCICompletion {
    guard slot.state == .addressed || slot.state == .configured else { return .contextStateError }
    for index in (XHCISlot.controlEndpoint + 1)..<XHCISlot.contextCount
    where slot.endpoints[index] != nil {
      slot.endpoints[index] = nil
      try slot.storeEndpoint(index, memory)
    }
    slot.endpoints[XHCISlot.controlEndpoint]?.abandon()
    slot.endpoints[XHCISlot.controlEndpoint]?.control = nil
    slot.state = .isDefault
    slot.setEntryCount(1)
    try slot.store(address: 0, memory)
    if let port = slot.port { ports[port].device?.reset() }
    return .success
  }

  private mutating func changeEndpoint(
    _ request: XHCITransferRequest, _ slot: inout XHCISlot, _ memory: GuestMemory
  ) throws(XHCIMemoryFault) -> XHCICompletion {
    let index = request.endpoint
    guard index != 0 else { return .requestError }
    guard slot.state != .enabled else { return .contextStateError }
    guard var endpoint = slot.endpoints[index] else { return .endpointNotEnabled }
    switch request.kind {
    case .stopEndpoint:
      guard endpoint.state == .running else { return .contextStateError }
      // A block that the device has not answered yet is reported first: drivers take from there
      // what was moved and where the endpoint stands. Source: xHCI 1.2 §4.6.9.
      if endpoint.credit > 0 || endpoint.isWaiting, let waiting = try endpoint.ring.peek(memory),
        waiting.kind != .eventData
      {
        try post(
          .transferEvent, endpoint.ring.pointer, .stopped,
          byteCount: UInt32(waiting.transferByteCount),
          control: UInt32(request.slot) << 24 | UInt32(index) << 16, memory)
      }
      endpoint.stop()
    case .resetEndpoint:
      guard endpoint.state == .halted else { return .contextStateError }
      endpoint.state = .stopped
      endpoint.abandon()
      endpoint.control = nil
    default:
      guard endpoint.state == .stopped || endpoint.state == .error else {
        return .contextStateError
      }
      endpoint.ring = XHCIRing(request.parameter)
      endpoint.state = .stopped
      endpoint.abandon()
    }
    slot.endpoints[index] = endpoint
    try slot.storeEndpoint(index, memory)
    return .success
  }
}

extension XHCISlot {
  /// *Context Entries*.
  fileprivate mutating func setEntryCount(_ count: UInt8) {
    context[3] = context[3] & 7 | count << 3
  }
}
