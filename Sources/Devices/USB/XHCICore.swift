internal import DeviceKit
internal import GuestMemory

/// The controller without lock and threads: registers, rings, slots, ports and what is plugged in.
///
/// The guest chooses every address and length. A command or a block of a transfer is a step, which
/// reads and writes a bounded number of bytes; a bell begins at most `bellCredit` of them. A ring
/// or a context that is not in RAM ends the controller's work until it is reset (*Host System
/// Error*).
struct XHCICore: Sendable {
  static let slotCount = 64
  /// USB 2 ports, and USB 3 ports behind them: the first of each is one connector, and so on.
  static let connectorCount = 2
  /// Steps that a bell begins. Drivers of keyboards and tablets have a few blocks on their rings.
  static let bellCredit = 4096
  /// Steps between two looks at what else there is to do.
  private static let turnLength = 64
  /// The most events that a step has.
  private static let eventsOfStep: UInt64 = 3

  /// Bits of *USBCMD*.
  enum Command {
    static let run: UInt32 = 1 << 0
    static let reset: UInt32 = 1 << 1
    static let interruptEnable: UInt32 = 1 << 2
    static let restore: UInt32 = 1 << 9
    static let stored: UInt32 = 1 << 2 | 1 << 3 | 1 << 10 | 1 << 11
  }

  /// Bits of *USBSTS*.
  enum Status {
    static let halted: UInt32 = 1 << 0
    static let systemError: UInt32 = 1 << 2
    static let eventInterrupt: UInt32 = 1 << 3
    static let portChange: UInt32 = 1 << 4
    static let restoreError: UInt32 = 1 << 10
    static let clearable: UInt32 = systemError | eventInterrupt | portChange | restoreError
  }

  var isRunning = false
  /// What of *USBCMD* is stored, and of *USBSTS*.
  var command: UInt32 = 0
  var status: UInt32 = 0
  /// *DNCTRL* and *CONFIG*.
  var notifications: UInt32 = 0
  var configuration: UInt32 = 0
  /// *DCBAAP*
  var contextArray: UInt64 = 0
  var commandRing = XHCIRing(0)
  /// *Command Ring Running*.
  var isCommandRingRunning = false
  /// The guest has stopped the command ring, and has no event of it yet.
  var hasStoppedCommands = false
  var commandCredit = 0
  var interrupter = XHCIInterrupter()
  var ports: [XHCIPort]
  /// By number; 0 stays empty.
  var slots = [XHCISlot?](repeating: nil, count: slotCount + 1)

  /// - Parameter devices: at most one for each connector, from the first on.
  init(_ devices: [HIDDevice]) {
    ports =
      (0..<Self.connectorCount).map { index in
        XHCIPort(isUSB3: false, device: devices.indices.contains(index) ? devices[index] : nil)
      } + (0..<Self.connectorCount).map { _ in XHCIPort(isUSB3: true) }
    notePorts()
  }

  /// Everything as after power-on.
  mutating func reset() {
    var ports = ports
    for index in ports.indices { ports[index].reset() }
    self = XHCICore([])
    self.ports = ports
    notePorts()
  }

  /// Takes over that ports have changed.
  mutating func notePorts() {
    if ports.contains(where: \.hasEvent) { status |= Status.portChange }
  }

  // MARK: What viewers do

  /// Gives a device what a viewer did, if the guest listens to one that takes it.
  ///
  /// - Returns: whether there is one.
  mutating func take(_ input: HIDInput) -> Bool {
    for port in ports.indices where isListened(to: port) {
      guard ports[port].device?.take(input) == true else { continue }
      ports[port].wake()
      notePorts()
      let index = HIDDescriptors.endpointIndex
      // One that was stopped waits for the next bell.
      if let slot = slot(ofPort: port), slots[slot]?.endpoints[index]?.state == .running {
        slots[slot]?.endpoints[index]?.credit = Self.bellCredit
      }
      return true
    }
    // The guest may have stopped listening while a key was down here.
    if case .key(_, isDown: false) = input {
      for port in ports.indices where ports[port].device?.isKeyboard == true {
        _ = ports[port].device?.take(input)
      }
    }
    return false
  }

  /// The lights of the keyboard that the guest listens to; nil if there is none.
  var lights: KeyboardLights? {
    for port in ports.indices where isListened(to: port) {
      if let device = ports[port].device, device.isKeyboard { return device.lights }
    }
    return nil
  }

  /// The slot of what is plugged in there; nil if the guest has not addressed it.
  func slot(ofPort port: Int) -> Int? {
    slots.firstIndex { $0?.port == port }
  }

  /// Whether the guest has configured what is plugged in there, and waits for its reports: also
  /// while it sleeps, for which guests stop the endpoint first.
  private func isListened(to port: Int) -> Bool {
    guard isRunning, ports[port].isEnabled, ports[port].device?.isConfigured == true,
      let slot = slot(ofPort: port),
      let endpoint = slots[slot]?.endpoints[HIDDescriptors.endpointIndex]
    else { return false }
    return endpoint.isPolled
      && (endpoint.state == .running || endpoint.state == .stopped && ports[port].mayWake)
  }

  /// Whether the guest is to be interrupted.
  var isInterrupting: Bool {
    interrupter.isPending && interrupter.isEnabled && command & Command.interruptEnable != 0
  }

  // MARK: Work

  /// Does some of what there is to do.
  ///
  /// - Returns: whether there may be more.
  mutating func work(_ memory: GuestMemory) -> Bool {
    do throws(XHCIMemoryFault) {
      for _ in 0..<Self.turnLength {
        guard isRunning, hasWork, try interrupter.hasRoom(for: Self.eventsOfStep, memory) else {
          // The interrupter says by itself that its ring is full.
          if interrupter.isPending { status |= Status.eventInterrupt }
          return false
        }
        try step(memory)
      }
      return true
    } catch {
      fail()
      return false
    }
  }

  /// The guest has put something where there is no RAM.
  private mutating func fail() {
    isRunning = false
    isCommandRingRunning = false
    status |= Status.systemError
  }

  /// Whether there is something to do, unless the ring of events is full.
  var hasWork: Bool {
    hasStoppedCommands || commandCredit > 0 || ports.contains(where: \.hasEvent)
      || nextTransfer != nil
  }

  /// A slot and an endpoint with something to do.
  private var nextTransfer: (slot: Int, endpoint: Int)? {
    for (number, slot) in slots.enumerated() {
      guard let slot else { continue }
      if let endpoint = slot.endpoints.firstIndex(where: { ($0?.credit ?? 0) > 0 }) {
        return (number, endpoint)
      }
    }
    return nil
  }

  private mutating func step(_ memory: GuestMemory) throws(XHCIMemoryFault) {
    if let port = ports.firstIndex(where: \.hasEvent) {
      ports[port].hasEvent = false
      try post(.portStatusChange, UInt64(port + 1) << 24, .success, memory)
    } else if hasStoppedCommands {
      hasStoppedCommands = false
      try post(.commandCompletion, commandRing.pointer, .commandRingStopped, memory)
    } else if commandCredit > 0 {
      commandCredit -= 1
      try stepCommand(memory)
    } else if let (slot, endpoint) = nextTransfer {
      slots[slot]?.endpoints[endpoint]?.credit -= 1
      try stepTransfer(slot, endpoint, memory)
    }
  }

  /// Puts an event on the ring.
  ///
  /// - Parameters:
  ///   - byteCount: 24 bits.
  ///   - control: what of the last word is the event's own.
  ///   - raises: whether it interrupts the guest.
  mutating func post(
    _ kind: XHCITransferRequest.Kind, _ parameter: UInt64, _ code: XHCICompletion,
    byteCount: UInt32 = 0, control: UInt32 = 0, raises: Bool = true, _ memory: GuestMemory
  ) throws(XHCIMemoryFault) {
    try interrupter.post(
      XHCITransferRequest(
        parameter: parameter, status: UInt32(code.rawValue) << 24 | byteCount & 0xFF_FFFF,
        control: UInt32(kind.rawValue) << 10 | control), raises: raises, memory)
    if interrupter.isPending { status |= Status.eventInterrupt }
  }

  // MARK: Bells

  /// The guest has rung a bell: 0 for commands, else a slot's.
  mutating func ring(_ bell: Int, _ value: UInt32) {
    guard isRunning else { return }
    if bell == 0 {
      guard value & 0xFF == 0 else { return }
      isCommandRingRunning = true
      commandCredit = Self.bellCredit
      return
    }
    let index = Int(value & 0xFF)
    guard slots.indices.contains(bell), (1..<XHCISlot.contextCount).contains(index),
      var endpoint = slots[bell]?.endpoints[index]
    else { return }
    guard endpoint.state == .running || endpoint.state == .stopped else { return }
    if endpoint.state == .stopped { endpoint.hasRestarted = true }
    endpoint.state = .running
    endpoint.isPolled = true
    endpoint.credit = Self.bellCredit
    slots[bell]?.endpoints[index] = endpoint
  }
}

extension XHCICore {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.flag(&isRunning)
    try transfer.integer(&command)
    try transfer.integer(&status)
    try transfer.check(
      command & ~Command.stored == 0 && status & ~Status.clearable == 0,
      "a controller's status of \(status)")
    try transfer.integer(&notifications)
    try transfer.integer(&configuration)
    try transfer.integer(&contextArray)
    try commandRing.transfer(&transfer)
    try transfer.flag(&isCommandRingRunning)
    try transfer.flag(&hasStoppedCommands)
    try transfer.integer(&commandCredit, in: 0...Self.bellCredit)
    try interrupter.transfer(&transfer)
    try transfer.elements(&ports) { (transfer, port) throws(StateError) in
      try port.transfer(&transfer)
    }
    let portCount = ports.count
    try transfer.elements(&slots) { (transfer, slot) throws(StateError) in
      try transfer.optional(&slot, new: XHCISlot()) { (transfer, slot) throws(StateError) in
        try slot.transfer(&transfer, portCount: portCount)
      }
    }
    try transfer.check(slots[0] == nil, "a slot 0")
  }
}
