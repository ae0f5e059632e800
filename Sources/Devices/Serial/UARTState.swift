internal import DeviceKit

/// The registers and the receive FIFO of a 16550A; knows neither lock nor line.
///
/// Source: National Semiconductor PC16550D, "Registers". A written byte leaves at once, so that the
/// transmitter is always empty and its FIFO holds nothing.
struct UARTState: Sendable {
  static let fifoByteCount = 16
  /// *DCD*, *DSR* and *CTS*: a terminal that is switched on and ready.
  private static let attachedModemLines: UInt8 = 0xB0

  private var enabled: UARTInterruptEnable = []
  private var lineControl: UInt8 = 0
  private(set) var modemControl: UARTModemControl = []
  /// Error bits of *LSR*; the others follow from the state.
  private var errors: UARTLineStatus = []
  /// The lower half of *MSR*: which modem lines changed since it was read.
  private var modemChanges: UInt8 = 0
  private var scratch: UInt8 = 0
  /// 9600 baud.
  private var divisor: UInt16 = 12
  private var hasFIFO = false
  private var triggerByteCount = 1
  private var received: [UInt8] = []
  private var isTransmitterInterruptPending = false

  private var opensDivisorLatch: Bool { lineControl & 0x80 != 0 }
  private var capacity: Int { hasFIFO ? Self.fifoByteCount : 1 }

  var isLoopedBack: Bool { modemControl.contains(.loopback) }
  /// Bytes that fit now; none in loopback, where the receiver is off the line.
  var room: Int { isLoopedBack ? 0 : capacity - received.count }
  var isReceiverEmpty: Bool { received.isEmpty }
  /// Whether the interrupt pin drives the PC's line.
  var isInterrupting: Bool { cause != .none && modemControl.contains(.out2) }

  /// What a driver would want to know that waits for it.
  var activity: UARTActivity {
    UARTActivity(
      receivedByteCount: received.count, enabledInterrupts: enabled.rawValue,
      isInterrupting: isInterrupting)
  }

  /// A byte from the line; room was checked.
  mutating func receive(_ byte: UInt8) {
    received.append(byte)
  }

  mutating func read(_ register: UInt64) -> UInt8 {
    switch register {
    case UARTRegister.data:
      if opensDivisorLatch { return UInt8(truncatingIfNeeded: divisor) }
      return received.isEmpty ? 0 : received.removeFirst()
    case UARTRegister.interruptEnable:
      return opensDivisorLatch ? UInt8(truncatingIfNeeded: divisor >> 8) : enabled.rawValue
    case UARTRegister.interruptIdentification: return readCause()
    case UARTRegister.lineControl: return lineControl
    case UARTRegister.modemControl: return modemControl.rawValue
    case UARTRegister.lineStatus: return readLineStatus()
    case UARTRegister.modemStatus:
      defer { modemChanges = 0 }
      return modemLines | modemChanges
    case UARTRegister.scratch: return scratch
    default: return 0xFF
    }
  }

  /// - Returns: the byte that leaves on the line, if one does.
  mutating func write(_ register: UInt64, _ value: UInt8) -> UInt8? {
    switch register {
    case UARTRegister.data where opensDivisorLatch:
      divisor = divisor & 0xFF00 | UInt16(value)
    case UARTRegister.data: return transmit(value)
    case UARTRegister.interruptEnable where opensDivisorLatch:
      divisor = divisor & 0x00FF | UInt16(value) << 8
    case UARTRegister.interruptEnable:
      enabled = UARTInterruptEnable(rawValue: value).intersection(.all)
      // Drivers start sending by enabling the interrupt of an empty transmitter, some without
      // having disabled it before.
      isTransmitterInterruptPending = enabled.contains(.transmitterEmpty)
    case UARTRegister.interruptIdentification: writeFIFOControl(value)
    case UARTRegister.lineControl: lineControl = value
    case UARTRegister.modemControl: writeModemControl(value)
    case UARTRegister.scratch: scratch = value
    default: break  // Both status registers are read-only; writing them is for factory tests.
    }
    return nil
  }

  private var cause: UARTInterruptCause {
    if enabled.contains(.lineStatus) && !errors.isEmpty { return .lineStatus }
    if enabled.contains(.receivedData) && !received.isEmpty {
      // Below the trigger level the timeout of four characters is over at once.
      return hasFIFO && received.count < triggerByteCount ? .characterTimeout : .receivedData
    }
    if enabled.contains(.transmitterEmpty) && isTransmitterInterruptPending {
      return .transmitterEmpty
    }
    return enabled.contains(.modemStatus) && modemChanges != 0 ? .modemStatus : .none
  }

  private mutating func readCause() -> UInt8 {
    let cause = cause
    // Only reading the cause itself acknowledges it.
    if cause == .transmitterEmpty { isTransmitterInterruptPending = false }
    return cause.rawValue | (hasFIFO ? 0xC0 : 0)
  }

  private mutating func readLineStatus() -> UInt8 {
    var status: UARTLineStatus = [.transmitterEmpty, .transmitterIdle]
    status.formUnion(errors)
    if !received.isEmpty { status.insert(.dataReady) }
    errors = []
    return status.rawValue
  }

  private mutating func transmit(_ byte: UInt8) -> UInt8? {
    isTransmitterInterruptPending = true
    guard isLoopedBack else { return byte }
    if received.count < capacity {
      received.append(byte)
    } else {
      errors.insert(.overrun)
      // A full FIFO keeps what it has; the single register is overwritten.
      if !hasFIFO { received = [byte] }
    }
    return nil
  }

  private mutating func writeFIFOControl(_ value: UInt8) {
    let enables = value & 0x01 != 0
    // Changing the mode empties the FIFO, as bit 1 does.
    if enables != hasFIFO || (enables && value & 0x02 != 0) { received = [] }
    hasFIFO = enables
    // The other bits are taken only while bit 0 is set.
    if enables { triggerByteCount = [1, 4, 8, 14][Int(value >> 6)] }
  }

  private mutating func writeModemControl(_ value: UInt8) {
    let old = modemLines
    modemControl = UARTModemControl(rawValue: value).intersection(.all)
    let new = modemLines
    // CTS, DSR and DCD on any change, RI (bit 6) only when it goes off.
    let changed = (old ^ new) & 0xB0 | (old & ~new) & 0x40
    modemChanges |= changed >> 4
  }

  /// The upper half of *MSR*: the attached lines, or, looped back, the four outputs.
  private var modemLines: UInt8 {
    guard isLoopedBack else { return Self.attachedModemLines }
    var lines: UInt8 = 0
    if modemControl.contains(.requestToSend) { lines |= 0x10 }
    if modemControl.contains(.dataTerminalReady) { lines |= 0x20 }
    if modemControl.contains(.out1) { lines |= 0x40 }
    if modemControl.contains(.out2) { lines |= 0x80 }
    return lines
  }
}

extension UARTState {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.value(&enabled)
    try transfer.integer(&lineControl)
    try transfer.value(&modemControl)
    try transfer.value(&errors)
    try transfer.integer(&modemChanges)
    try transfer.integer(&scratch)
    try transfer.integer(&divisor)
    try transfer.flag(&hasFIFO)
    try transfer.integer(&triggerByteCount, in: 1...Self.fifoByteCount)
    try transfer.bytes(&received, maximumCount: capacity)
    try transfer.flag(&isTransmitterInterruptPending)
  }
}
