internal import Bytes
internal import DeviceKit
internal import GuestMemory

/// A *Device Slot*: what the guest made known of a device. Contexts have 32 bytes. Source: xHCI
/// 1.2 §4.5, §6.2.
struct XHCISlot: Sendable {
  static let contextByteCount = 32
  /// Contexts of a device: the slot's, the control endpoint's, 15 pairs of others.
  static let contextCount = 32
  /// The *Device Context Index* of the control endpoint.
  static let controlEndpoint = 1

  /// *Slot State*, with 0 for a slot that is enabled.
  enum State: UInt32 {
    case enabled = 0
    case isDefault = 1
    case addressed = 2
    case configured = 3
  }

  var state = State.enabled
  /// Where the guest reads contexts, from *Address Device* on.
  var contexts: UInt64 = 0
  /// The slot's context as it was written last.
  var context = [UInt8](repeating: 0, count: contextByteCount)
  /// An index of the controller's ports.
  var port: Int?
  /// By *Device Context Index*.
  var endpoints = [XHCIEndpoint?](repeating: nil, count: contextCount)

  var hasConfiguredEndpoints: Bool {
    endpoints[(Self.controlEndpoint + 1)...].contains { $0 != nil }
  }

  /// Writes the slot's context.
  ///
  /// - Parameter isDisabled: for a slot that will be nobody's.
  mutating func store(
    address: UInt8, isDisabled: Bool = false, _ memory: GuestMemory
  ) throws(XHCIMemoryFault) {
    let state = isDisabled ? 0 : state.rawValue
    context.storeLE(UInt32(address) | state << 27, at: 12)
    try memory.writeXHCI(context, at: contexts)
  }

  /// Writes an endpoint's context: of one that there is not, that it is disabled.
  func storeEndpoint(_ index: Int, _ memory: GuestMemory) throws(XHCIMemoryFault) {
    let bytes = endpoints[index]?.bytes ?? [UInt8](repeating: 0, count: Self.contextByteCount)
    try memory.writeXHCI(bytes, at: contexts &+ UInt64(Self.contextByteCount * index))
  }
}

/// An endpoint that the guest set up.
struct XHCIEndpoint: Sendable {
  /// *EP State*.
  enum State: UInt32 {
    case running = 1
    case halted = 2
    case stopped = 3
    case error = 4
  }

  /// *EP Type*.
  enum Kind {
    static let control: UInt32 = 4
    /// Isochronous ones, out and in.
    static let isochronous: [UInt32] = [1, 5]
  }

  private var context: [UInt8]
  var state = State.running
  var ring: XHCIRing
  /// How many blocks may be looked at before the guest rings again: work for each ring of a bell
  /// is bounded, and so is a ring that leads to itself.
  var credit = 0
  /// Whether the guest has rung for it: it listens to the device.
  var isPolled = false
  /// Whether the device has yet to answer the block that is next.
  var isWaiting = false
  /// Whether a bell has started it again, which its context does not say yet.
  var hasRestarted = false
  /// What the control endpoint is at.
  var control: ControlTransfer?
  var transfer = Transfer()

  /// A control transfer between its setup and status stages.
  struct ControlTransfer: Sendable {
    var request: USBRequest
    /// What the device answered; nil for what it has yet to take.
    var answer: USBAnswer?
    /// How much the guest has got of the answer.
    var offset = 0
    var received: [UInt8] = []
    var isInDataStage = false
  }

  /// A chain of blocks that the controller is at.
  struct Transfer: Sendable {
    /// *Event Data Transfer Length Accumulator*, 24 bits.
    var eventByteCount: UInt32 = 0
    /// The device had less than there is room for: what follows in the chain gets nothing.
    var isShort = false
    /// Whether the guest knows of that.
    var hasReported = false
    /// A report on its way.
    var report: [UInt8]?
    var offset = 0
  }

  /// From a context that the guest filled; nil if it makes no sense, or is isochronous or has
  /// streams.
  init?(_ bytes: [UInt8], index: Int) {
    context = bytes
    ring = XHCIRing(bytes.loadLE(at: 8))
    let (first, second): (UInt32, UInt32) = (bytes.loadLE(at: 0), bytes.loadLE(at: 4))
    let kind = second >> 3 & 7
    guard kind != 0, (kind == Kind.control) == (index == XHCISlot.controlEndpoint),
      !Kind.isochronous.contains(kind), first >> 10 & 0x1F == 0, maximumPacketByteCount > 0
    else { return nil }
    // Odd ones are for what goes to the host.
    guard kind == Kind.control || (kind > 4) == (index & 1 == 1) else { return nil }
  }

  var maximumPacketByteCount: UInt16 {
    get { context.loadLE(at: 6) }
    set { context.storeLE(newValue, at: 6) }
  }

  /// The context as it is now.
  var bytes: [UInt8] {
    var bytes = context
    bytes.storeLE(bytes.loadLE(at: 0, as: UInt32.self) & ~7 | state.rawValue, at: 0)
    bytes.storeLE(ring.value, at: 8)
    return bytes
  }

  /// Goes on with the next bell, from where it is.
  mutating func stop() {
    state = .stopped
    credit = 0
    isWaiting = false
    hasRestarted = false
  }

  /// Forgets a transfer that is under way.
  mutating func abandon() {
    transfer = Transfer()
    credit = 0
    isWaiting = false
  }
}

extension XHCISlot {
  mutating func transfer(_ transfer: inout StateTransfer, portCount: Int) throws(StateError) {
    try transfer.value(&state)
    try transfer.integer(&contexts)
    try transfer.bytes(&context)
    try transfer.optional(&port, new: 0) { (transfer, port) throws(StateError) in
      try transfer.integer(&port, in: 0...(portCount - 1))
    }
    for index in endpoints.indices {
      var isThere = endpoints[index] != nil
      try transfer.flag(&isThere)
      try transfer.check(index > 0 || !isThere, "an endpoint 0")
      guard isThere else {
        endpoints[index] = nil
        continue
      }
      try XHCIEndpoint.transfer(&endpoints[index], index, &transfer)
    }
  }
}

extension XHCIEndpoint {
  /// More than a packet, which is what reports are.
  fileprivate static let maximumReportByteCount = 64

  fileprivate static func transfer(
    _ endpoint: inout XHCIEndpoint?, _ index: Int, _ transfer: inout StateTransfer
  ) throws(StateError) {
    var context = endpoint?.context ?? [UInt8](repeating: 0, count: XHCISlot.contextByteCount)
    try transfer.bytes(&context)
    if transfer.isRestoring { endpoint = XHCIEndpoint(context, index: index) }
    guard endpoint != nil else { throw .invalid("endpoint \(index) is none") }
    try endpoint?.transfer(&transfer)
  }

  private mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.value(&state)
    try ring.transfer(&transfer)
    try transfer.integer(&credit, in: 0...XHCICore.bellCredit)
    try transfer.flag(&isPolled)
    try transfer.flag(&isWaiting)
    try transfer.flag(&hasRestarted)
    try transfer.optional(&control, new: ControlTransfer(request: USBRequest(0))) {
      (transfer, control) throws(StateError) in
      try control.transfer(&transfer)
    }
    try self.transfer.transfer(&transfer)
  }
}

extension XHCIEndpoint.ControlTransfer {
  fileprivate mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try request.transfer(&transfer)
    try transfer.optional(&answer, new: .stalled) { (transfer, answer) throws(StateError) in
      try answer.transfer(&transfer)
    }
    try transfer.integer(&offset, in: 0...(answer?.byteCount ?? 0))
    try transfer.bytes(&received, maximumCount: XHCICore.maximumReceivedByteCount)
    try transfer.flag(&isInDataStage)
  }
}

extension XHCIEndpoint.Transfer {
  fileprivate mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.integer(&eventByteCount, in: 0...0xFF_FFFF)
    try transfer.flag(&isShort)
    try transfer.flag(&hasReported)
    try transfer.optional(&report, new: []) { (transfer, report) throws(StateError) in
      try transfer.bytes(&report, maximumCount: XHCIEndpoint.maximumReportByteCount)
    }
    try transfer.integer(&offset, in: 0...(report?.count ?? 0))
  }
}
