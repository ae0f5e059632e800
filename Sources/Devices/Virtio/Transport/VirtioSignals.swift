internal import DeviceKit
internal import HostSystem

/// How a virtio device reaches its driver: interrupts by MSI-X, or by the ISR register and the pin;
/// faults; the generation of its configuration (virtio 1.2 §4.1.4.5, §4.1.5.1.2 and §2.5.1). Any
/// thread.
final class VirtioSignals: Sendable {
  /// *VIRTIO_MSI_NO_VECTOR*.
  static let noVector = UInt16.max

  private struct State {
    /// Of each queue, then of the configuration.
    var vectors: [UInt16]
    /// *ISR status*: bit 0 a queue, bit 1 the configuration.
    var interruptStatus: UInt8 = 0
    var needsReset = false
    /// Whether the driver is there to hear of the configuration.
    var isListening = false
    var generation: UInt8 = 0
    /// Nothing is announced now, and whether the configuration is to be then.
    var isHeld = false
    var isAnnouncementDue = false
  }

  let endpoint: PCIEndpoint
  private let state: Guarded<State>
  private let queueCount: Int

  init(endpoint: PCIEndpoint, queueCount: Int) {
    self.endpoint = endpoint
    self.queueCount = queueCount
    state = Guarded(
      State(vectors: Array(repeating: Self.noVector, count: queueCount + 1)))
  }

  // MARK: The device's side

  /// Interrupts for a queue.
  func signal(_ queue: Int) {
    state.withLock { interrupt(&$0, queue, bit: 1) }
  }

  /// The configuration is another.
  func announceConfiguration() {
    state.withLock { state in
      guard !state.isHeld else {
        state.isAnnouncementDue = true
        return
      }
      announceConfiguration(&state)
    }
  }

  private func announceConfiguration(_ state: inout State) {
    state.generation &+= 1
    if state.isListening { interrupt(&state, queueCount, bit: 2) }
  }

  /// Holds back that the configuration is another, which the host may bring about at any time.
  func hold() {
    state.withLock { $0.isHeld = true }
  }

  /// Announces what was held back, or has changed on the way from another machine.
  func release() {
    state.withLock { state in
      state.isHeld = false
      guard state.isAnnouncementDue else { return }
      state.isAnnouncementDue = false
      announceConfiguration(&state)
    }
  }

  /// The configuration is another than the machine had that was saved: `release` announces it.
  func noteChangedConfiguration() {
    state.withLock { $0.isAnnouncementDue = true }
  }

  /// The driver broke a rule: *DEVICE_NEEDS_RESET*.
  func announceFault() {
    state.withLock { state in
      guard !state.needsReset else { return }
      state.needsReset = true
      if state.isListening { interrupt(&state, queueCount, bit: 2) }
    }
  }

  private func interrupt(_ state: inout State, _ source: Int, bit: UInt8) {
    guard !endpoint.usesMSIX else {
      let vector = state.vectors[source]
      if vector != Self.noVector { endpoint.signal(Int(vector)) }
      return
    }
    state.interruptStatus |= bit
    endpoint.setPin(true)
  }

  // MARK: The driver's side

  /// Sets the vector of a queue, or after them of the configuration; one that there is not becomes
  /// none.
  ///
  /// - Returns: what it is now.
  func setVector(_ vector: UInt16, of source: Int) -> UInt16 {
    let vector = Int(vector) < endpoint.vectorCount ? vector : Self.noVector
    state.withLock { $0.vectors[source] = vector }
    return vector
  }

  /// Whether the driver set *DRIVER_OK*.
  func listen() {
    state.withLock { $0.isListening = true }
  }

  var needsReset: Bool { state.withLock { $0.needsReset } }

  /// *config_generation*.
  var generation: UInt8 { state.withLock { $0.generation } }

  /// Reads *ISR status*, which clears it and lets the pin fall.
  func takeInterruptStatus() -> UInt8 {
    state.withLock { state in
      defer { state.interruptStatus = 0 }
      endpoint.setPin(false)
      return state.interruptStatus
    }
  }

  /// Everything as after power-on, except the generation, which only moves on.
  func reset() {
    state.withLock { state in
      let (generation, isHeld) = (state.generation, state.isHeld)
      state = State(vectors: Array(repeating: Self.noVector, count: queueCount + 1))
      (state.generation, state.isHeld) = (generation, isHeld)
      endpoint.setPin(false)
    }
  }
}

extension VirtioSignals {
  /// - Parameter registers: restored already.
  func transfer(
    _ transfer: inout StateTransfer, _ registers: borrowing VirtioRegisters
  ) throws(StateError) {
    let (vectors, isListening) = (registers.vectors, registers.status.contains(.driverOK))
    try state.withLock { state throws(StateError) in
      try transfer.integer(&state.interruptStatus, in: 0...3)
      try transfer.flag(&state.needsReset)
      try transfer.integer(&state.generation)
      try transfer.flag(&state.isAnnouncementDue)
      guard transfer.isRestoring else { return }
      (state.vectors, state.isListening) = (vectors, isListening)
      endpoint.setPin(state.interruptStatus != 0)
    }
  }
}
