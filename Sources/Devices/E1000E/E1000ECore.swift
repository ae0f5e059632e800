internal import DeviceKit
internal import GuestMemory

/// The card without lock and threads: registers, rings, interrupt causes.
///
/// The guest chooses every address and length. What it does to a ring goes on for one frame at a
/// time, and reads or writes a bounded number of bytes; what is not in RAM is left out.
struct E1000ECore: Sendable {
  /// BAR 0.
  static let registerByteCount: UInt64 = 0x2_0000
  static let vectorCount = 5

  /// Every register as it was written, by its number; what has a meaning of its own is beside.
  var registers = [UInt32](repeating: 0, count: Int(registerByteCount / 4))
  var nvm: E1000ENVM
  var phy = E1000EPHY()
  var transmitQueues = [E1000ETransmitQueue](repeating: E1000ETransmitQueue(), count: 2)
  /// Whether there is somebody at the far end.
  var hasCarrier: Bool
  /// Frames wait for buffers: the next that the guest gives are to be made known.
  var isShortOfBuffers = false
  /// Frames, and what becomes of the link, wait at the far end.
  var isHeld = false

  var causes: E1000ECauses = []
  var mask: E1000ECauses = []
  /// Causes for which an interrupt has gone out, and that are there since.
  private var signalled: E1000ECauses = []

  init(address: [UInt8], hasCarrier: Bool) {
    nvm = E1000ENVM(address: address)
    self.hasCarrier = hasCarrier
    reset()
  }

  /// Everything as after power-on, except for what non-volatile memory has and the transceiver.
  mutating func reset() {
    for index in registers.indices { registers[index] = 0 }
    self[E1000ERegister.control] = E1000EControl.afterReset
    self[E1000ERegister.vlanType] = 0x8100
    self[E1000ERegister.packetBuffer] = 0x0014_0014
    let words = (0..<3).map { UInt32(nvm.word(at: $0)) }
    self[E1000ERegister.addresses] = words[0] | words[1] << 16
    self[E1000ERegister.addresses + 4] = words[2] | 1 << 31
    transmitQueues = [E1000ETransmitQueue](repeating: E1000ETransmitQueue(), count: 2)
    causes = []
    mask = []
    signalled = []
  }

  /// A register that is stored.
  subscript(offset: UInt64) -> UInt32 {
    get { registers[Int(offset / 4)] }
    set { registers[Int(offset / 4)] = newValue }
  }

  /// Whether frames come and go.
  var hasLink: Bool {
    hasCarrier && self[E1000ERegister.control] & E1000EControl.setLinkUp != 0
  }

  /// The far end has come or gone.
  mutating func setCarrier(_ hasCarrier: Bool) {
    guard hasCarrier != self.hasCarrier else { return }
    self.hasCarrier = hasCarrier
    raise(.linkChange)
  }

  // MARK: Interrupts

  /// Notes causes; `updateInterrupts` follows.
  mutating func raise(_ causes: E1000ECauses) {
    self.causes.formUnion(causes)
  }

  /// Sends what the causes ask for: a message for each vector, one message, or the pin.
  ///
  /// An interrupt for each cause that has become pending, and for no other: what stays pending is
  /// the driver's to look at.
  mutating func updateInterrupts(_ endpoint: PCIEndpoint) {
    guard endpoint.usesMSIX else {
      let pending = causes.intersection(mask)
      let isNew = !pending.subtracting(signalled).isEmpty
      signalled = pending
      endpoint.setPin(!pending.isEmpty)
      if isNew { endpoint.signal(0) }
      return
    }
    endpoint.setPin(false)
    // *Other* stands for all causes without a vector of their own, once for each time that one
    // comes: what it stood for stays pending when it is acknowledged.
    let fresh = causes.intersection(mask).subtracting(signalled)
    if !fresh.isDisjoint(with: .others) { causes.insert(.other) }
    let pending = causes.intersection(mask)
    let new = pending.subtracting(signalled)
    signalled = pending
    let vectors = self[E1000ERegister.vectors]
    for index in 0..<Self.vectorCount where new.contains(E1000ECauses.withVector[index]) {
      let entry = vectors >> UInt32(4 * index) & 0xF
      guard entry & 8 != 0 else { continue }
      endpoint.signal(Int(entry & 7))
      acknowledge(E1000ECauses.withVector[index])
    }
  }

  /// What the message of a cause clears and masks.
  private mutating func acknowledge(_ cause: E1000ECauses) {
    let control = self[E1000ERegister.extendedControl]
    if control & E1000EExtendedControl.masksWithMessage != 0 {
      mask.subtract(
        cause.intersection(E1000ECauses(rawValue: self[E1000ERegister.autoMask])))
    }
    let cleared = cause.intersection(E1000ECauses(rawValue: self[E1000ERegister.autoClear]))
    causes.subtract(cleared)
    if control & E1000EExtendedControl.masksWithCause == 0 { mask.subtract(cleared) }
    signalled.subtract(cause)
    signalled.formUnion(cause.intersection(causes).intersection(mask))
  }

  /// *ICR*, as a read finds it. It clears all causes if the card has interrupted for them, or if
  /// none is enabled.
  mutating func readCauses() -> UInt32 {
    let isAsserted = !causes.isDisjoint(with: mask)
    let value = causes.union(isAsserted ? .asserted : []).rawValue
    if isAsserted || mask.isEmpty {
      causes = []
      if isAsserted { maskAfterAccess() }
    }
    return value
  }

  /// *ICR* is written: ones clear. Drivers expect *Other* to take with it what raised it.
  mutating func clearCauses(_ value: E1000ECauses) {
    if !causes.isDisjoint(with: mask) { maskAfterAccess() }
    causes.subtract(value)
    if value.contains(.other) { causes.subtract(.others) }
  }

  private mutating func maskAfterAccess() {
    guard
      self[E1000ERegister.extendedControl] & E1000EExtendedControl.masksWithCause != 0
    else { return }
    mask.subtract(E1000ECauses(rawValue: self[E1000ERegister.autoMask]))
  }

  // MARK: Statistics

  /// Adds to a counter of 32 bits, which stops at its end.
  mutating func count(_ statistic: E1000EStatistic, _ amount: UInt32 = 1) {
    let offset = statistic.offset
    let (sum, isOver) = self[offset].addingReportingOverflow(amount)
    self[offset] = isOver ? .max : sum
  }

  /// Adds to a counter of 64 bits.
  mutating func countBytes(_ statistic: E1000EStatistic, _ amount: Int) {
    let offset = statistic.offset
    let (sum, isOver) = self[offset].addingReportingOverflow(UInt32(truncatingIfNeeded: amount))
    self[offset] = sum
    if isOver { self[offset + 4] &+= 1 }
  }

  /// A counter is read, which clears it; one of 64 bits with its upper half.
  mutating func readStatistic(_ offset: UInt64) -> UInt32 {
    let value = self[offset]
    guard !E1000EStatistic.isLowerHalf(offset) else { return value }
    self[offset] = 0
    if E1000EStatistic.isLowerHalf(offset - 4) { self[offset - 4] = 0 }
    return value
  }
}

/// Counters, by their offsets.
struct E1000EStatistic: Sendable {
  let offset: UInt64

  static let goodReceived = E1000EStatistic(offset: 0x4074)
  static let broadcastReceived = E1000EStatistic(offset: 0x4078)
  static let multicastReceived = E1000EStatistic(offset: 0x407C)
  static let goodSent = E1000EStatistic(offset: 0x4080)
  static let goodReceivedBytes = E1000EStatistic(offset: 0x4088)
  static let goodSentBytes = E1000EStatistic(offset: 0x4090)
  static let noBuffer = E1000EStatistic(offset: 0x40A0)
  static let oversized = E1000EStatistic(offset: 0x40AC)
  static let receivedBytes = E1000EStatistic(offset: 0x40C0)
  static let sentBytes = E1000EStatistic(offset: 0x40C8)
  static let received = E1000EStatistic(offset: 0x40D0)
  static let sent = E1000EStatistic(offset: 0x40D4)
  static let multicastSent = E1000EStatistic(offset: 0x40F0)
  static let broadcastSent = E1000EStatistic(offset: 0x40F4)
  static let segmented = E1000EStatistic(offset: 0x40F8)

  /// Those of 64 bits: the lower half, behind it the upper.
  private static let wide = [goodReceivedBytes, goodSentBytes, receivedBytes, sentBytes]

  static func isLowerHalf(_ offset: UInt64) -> Bool {
    wide.contains { $0.offset == offset }
  }
}

extension E1000ECore {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transferRegisters(&transfer)
    try nvm.transfer(&transfer)
    try phy.transfer(&transfer)
    try transfer.elements(&transmitQueues) { (transfer, queue) throws(StateError) in
      try queue.transfer(&transfer)
    }
    try transfer.flag(&hasCarrier)
    try transfer.flag(&isShortOfBuffers)
    try transfer.value(&causes)
    try transfer.value(&mask)
    try transfer.value(&signalled)
    try transfer.check(mask.isSubset(of: .all), "a mask of \(mask.rawValue)")
  }
}
