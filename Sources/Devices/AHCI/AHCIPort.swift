internal import DeviceKit

/// A port's registers, without their lock. Source: AHCI 1.3.1 §3.3.
struct AHCIPort: Sendable {
  /// Offsets from the port's first register.
  enum Register {
    static let commandList: UInt64 = 0x00
    static let commandListHigh: UInt64 = 0x04
    static let receivedFIS: UInt64 = 0x08
    static let receivedFISHigh: UInt64 = 0x0C
    static let interruptStatus: UInt64 = 0x10
    static let interruptEnable: UInt64 = 0x14
    static let command: UInt64 = 0x18
    static let taskFile: UInt64 = 0x20
    static let signature: UInt64 = 0x24
    static let sataStatus: UInt64 = 0x28
    static let sataControl: UInt64 = 0x2C
    static let sataError: UInt64 = 0x30
    static let issue: UInt64 = 0x38
  }

  /// *PxCMD*.
  struct Command: OptionSet, Sendable {
    let rawValue: UInt32
    static let start = Command(rawValue: 1 << 0)
    static let spinUp = Command(rawValue: 1 << 1)
    static let powerOn = Command(rawValue: 1 << 2)
    static let overrideBusy = Command(rawValue: 1 << 3)
    static let receivesFIS = Command(rawValue: 1 << 4)
    static let fisRunning = Command(rawValue: 1 << 14)
    static let listRunning = Command(rawValue: 1 << 15)
    static let isATAPI = Command(rawValue: 1 << 24)
    static let ledForATAPI = Command(rawValue: 1 << 25)
    static let writable: Command = [
      .start, .spinUp, .powerOn, .receivesFIS, .isATAPI, .ledForATAPI,
    ]
  }

  /// *PxIS* and *PxIE*.
  struct Interrupts: OptionSet, Sendable {
    let rawValue: UInt32
    static let registerFIS = Interrupts(rawValue: 1 << 0)
    static let pioSetupFIS = Interrupts(rawValue: 1 << 1)
    /// Follows *PxSERR.DIAG.X*.
    static let connectChange = Interrupts(rawValue: 1 << 6)
    /// Follows *PxSERR.DIAG.N*.
    static let phyReadyChange = Interrupts(rawValue: 1 << 22)
    /// A command's table ended before its data (*OFS*); no error that stops the list.
    static let overflow = Interrupts(rawValue: 1 << 24)
    static let interfaceFatal = Interrupts(rawValue: 1 << 27)
    static let hostBusFatal = Interrupts(rawValue: 1 << 29)
    static let taskFileError = Interrupts(rawValue: 1 << 30)
    static let all: Interrupts = [
      .registerFIS, .pioSetupFIS, .connectChange, .phyReadyChange, .overflow, .interfaceFatal,
      .hostBusFatal, .taskFileError,
    ]
    /// The rest of what can be enabled; these never come.
    static let enableMask: UInt32 = 0xFDC0_00FF
  }

  /// States of the link as *PxCMD.ICC* asks for them and *PxSSTS.IPM* tells. Linux calls an adapter
  /// without the lower two broken.
  private enum LinkPower: UInt32 {
    case active = 1
    case partial = 2
    case slumber = 6
  }

  private static let exchanged: UInt32 = 1 << 26
  private static let phyReadyChanged: UInt32 = 1 << 16
  /// A device is there, at generation 1.
  private static let connected: UInt32 = 0x13

  var commandList: UInt64 = 0
  var receivedFIS: UInt64 = 0
  private var latchedInterrupts: Interrupts = []
  private var interruptEnable: UInt32 = 0
  private(set) var command: Command = []
  private var registers: ATARegisters
  private var isBusyStatus = false
  private let signature: UInt32
  private let powerOnRegisters: ATARegisters
  private var sataControl: UInt32 = 0
  private var sataError: UInt32 = 0
  private var power = LinkPower.active
  /// *PxCI*: commands that are not done.
  private(set) var issued: UInt32 = 0
  /// The command that is, or was last, carried out.
  private(set) var slot = 0
  /// A command is with the device: memory is in use.
  private(set) var isBusy = false
  /// Changes when what is in flight is not to be answered any more.
  private(set) var generation: UInt64 = 0
  /// An error has stopped the list, until *ST* is cleared.
  private(set) var isHalted = false
  private var isInSoftwareReset = false
  /// The FIS with the signature waits for a place to go.
  private(set) var hasSignatureToSend = true

  init(_ signature: ATARegisters) {
    powerOnRegisters = signature
    registers = signature
    self.signature =
      UInt32(truncatingIfNeeded: signature.lba) << 8 | UInt32(signature.count & 0xFF)
  }

  // MARK: Interrupts

  private var interrupts: Interrupts {
    var interrupts = latchedInterrupts
    if sataError & Self.exchanged != 0 { interrupts.insert(.connectChange) }
    if sataError & Self.phyReadyChanged != 0 { interrupts.insert(.phyReadyChange) }
    return interrupts
  }

  /// Whether something that the guest wants to hear of has happened.
  var isInterrupting: Bool { interrupts.rawValue & interruptEnable != 0 }

  /// Whether one of these would interrupt.
  func enables(_ interrupts: Interrupts) -> Bool { interrupts.rawValue & interruptEnable != 0 }

  // MARK: Registers

  func read(_ offset: UInt64) -> UInt32 {
    switch offset {
    case Register.commandList: UInt32(truncatingIfNeeded: commandList)
    case Register.commandListHigh: UInt32(commandList >> 32)
    case Register.receivedFIS: UInt32(truncatingIfNeeded: receivedFIS)
    case Register.receivedFISHigh: UInt32(receivedFIS >> 32)
    case Register.interruptStatus: interrupts.rawValue
    case Register.interruptEnable: interruptEnable
    case Register.command: commandRegister
    case Register.taskFile:
      UInt32(registers.error) << 8
        | UInt32(isBusyStatus ? registers.status | ATAStatus.busy : registers.status)
    case Register.signature: signature
    case Register.sataStatus: sataStatus
    case Register.sataControl: sataControl
    case Register.sataError: sataError
    case Register.issue: issued
    default: 0
    }
  }

  private var commandRegister: UInt32 {
    var value = command
    if command.contains(.receivesFIS) { value.insert(.fisRunning) }
    // Until memory is left alone: what a driver waits for before it takes its lists back.
    if command.contains(.start) || isBusy { value.insert(.listRunning) }
    return value.rawValue | (command.contains(.start) ? UInt32(slot) << 8 : 0)
  }

  private var sataStatus: UInt32 {
    switch sataControl & 0xF {
    case 1: 0
    case 4: 4
    default: Self.connected | power.rawValue << 8
    }
  }

  /// Whether commands reach the device.
  private var isConnected: Bool { sataStatus & 0xF == 3 }

  /// What a write asks for beyond the register.
  enum Action {
    case none
    /// Commands may be there.
    case work
    /// COMRESET is over: the device is as new.
    case reset
  }

  mutating func write(_ offset: UInt64, _ value: UInt32) -> Action {
    switch offset {
    case Register.commandList:
      commandList = commandList & ~0xFFFF_FFFF | UInt64(value & ~0x3FF)
    case Register.commandListHigh:
      commandList = commandList & 0xFFFF_FFFF | UInt64(value) << 32
    case Register.receivedFIS:
      receivedFIS = receivedFIS & ~0xFFFF_FFFF | UInt64(value & ~0xFF)
    case Register.receivedFISHigh:
      receivedFIS = receivedFIS & 0xFFFF_FFFF | UInt64(value) << 32
    case Register.interruptStatus: latchedInterrupts.subtract(Interrupts(rawValue: value))
    case Register.interruptEnable: interruptEnable = value & Interrupts.enableMask
    case Register.command: return writeCommand(Command(rawValue: value))
    case Register.sataControl: return writeSATAControl(value & 0xFFF)
    case Register.sataError: sataError &= ~value
    case Register.issue where command.contains(.start):
      issued |= value
      power = .active
      return .work
    default: break
    }
    return .none
  }

  private mutating func writeCommand(_ value: Command) -> Action {
    let wasStarted = command.contains(.start)
    command = value.intersection(.writable)
    if let state = LinkPower(rawValue: value.rawValue >> 28) { setPower(state) }
    if value.contains(.overrideBusy) {
      isBusyStatus = false
      registers.status &= ~ATAStatus.dataRequest
    }
    if wasStarted, !command.contains(.start) {
      issued = 0
      slot = 0
      abandon()
    }
    return .work
  }

  /// Follows *ICC* while nothing is to be sent, unless *PxSCTL.IPM* forbids that state.
  private mutating func setPower(_ state: LinkPower) {
    let isForbidden =
      switch state {
      case .active: false
      case .partial: sataControl & 0x100 != 0
      case .slumber: sataControl & 0x200 != 0
      }
    if state == .active || !isForbidden && issued == 0 && !isBusy { power = state }
  }

  private mutating func writeSATAControl(_ value: UInt32) -> Action {
    let wasResetting = sataControl & 0xF == 1
    sataControl = value
    let isResetting = value & 0xF == 1
    if isResetting, !wasResetting { abandon() }
    guard wasResetting, !isResetting else { return .none }
    becomeNew()
    sataError |= Self.exchanged | Self.phyReadyChanged
    return .reset
  }

  /// What is in flight ends without an answer.
  private mutating func abandon() {
    generation &+= 1
    isHalted = false
  }

  /// The device's registers as after a reset.
  private mutating func becomeNew() {
    registers = powerOnRegisters
    isBusyStatus = false
    isInSoftwareReset = false
    hasSignatureToSend = true
    power = .active
  }

  /// As after power-on; what is in flight ends without an answer.
  mutating func reset() {
    var new = AHCIPort(powerOnRegisters)
    new.isBusy = isBusy
    new.generation = generation &+ 1
    self = new
  }

  // MARK: Commands

  /// Chooses the next command: slots in turn.
  ///
  /// - Returns: nil if there is none, or none may begin.
  mutating func chooseSlot() -> Int? {
    guard !isBusy, !isHalted, command.contains(.start), issued != 0, isConnected
    else { return nil }
    // Those behind the one before; then from the first again. Shifts by 32 give 0.
    let after = (issued >> UInt32(slot + 1)) << UInt32(slot + 1)
    slot = (after != 0 ? after : issued).trailingZeroBitCount
    return slot
  }

  mutating func begin() {
    isBusy = true
    isBusyStatus = true
  }

  /// A *control* FIS: *SRST* set, and then cleared, resets.
  ///
  /// - Returns: whether the device is as new.
  mutating func control(isReset: Bool) -> Bool {
    issued &= ~(1 << UInt32(slot))
    defer { isInSoftwareReset = isReset }
    guard isInSoftwareReset, !isReset else {
      if isReset { isBusyStatus = true }
      return false
    }
    becomeNew()
    return true
  }

  /// The command of before has left memory alone.
  ///
  /// - Returns: whether it is to be answered.
  mutating func end(generation: UInt64) -> Bool {
    isBusy = false
    guard generation == self.generation else {
      if !isInSoftwareReset { isBusyStatus = false }
      return false
    }
    isBusyStatus = false
    return true
  }

  /// A command is done, or has failed, which halts the port.
  ///
  /// - Parameter overflows: whether the guest's table ended before the data.
  mutating func complete(_ result: ATAResult, overflows: Bool) -> Interrupts {
    registers = result.registers
    var interrupts: Interrupts = result.kind == .dma ? .registerFIS : .pioSetupFIS
    if overflows { interrupts.insert(.overflow) }
    if result.kind == .packetPIO { interrupts.insert(.registerFIS) }
    if result.isFailure {
      interrupts.insert(.taskFileError)
      isHalted = true
    } else {
      issued &= ~(1 << UInt32(slot))
    }
    latchedInterrupts.formUnion(interrupts)
    return interrupts
  }

  /// Memory is not where the guest said, or a FIS is none: the port halts.
  mutating func fail(_ interrupts: Interrupts) {
    isHalted = true
    latchedInterrupts.formUnion(interrupts)
  }

  /// The FIS that a reset leaves, once there is a place for it.
  mutating func takeSignature() -> [UInt8]? {
    guard hasSignatureToSend, command.contains(.receivesFIS) else { return nil }
    hasSignatureToSend = false
    return powerOnRegisters.fis(interrupts: false)
  }
}

extension AHCIPort {
  /// While no command is with the device: nothing is to be answered later.
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    guard !isBusy else { throw .busy("commands are in flight") }
    try transfer.integer(&commandList)
    try transfer.integer(&receivedFIS)
    try transfer.value(&latchedInterrupts)
    try transfer.integer(&interruptEnable)
    try transfer.value(&command)
    try transfer.check(
      command.isSubset(of: .writable) && latchedInterrupts.isSubset(of: .all),
      "registers of a port")
    try registers.transfer(&transfer)
    try transfer.flag(&isBusyStatus)
    try transfer.integer(&sataControl, in: 0...0xFFF)
    try transfer.integer(&sataError)
    try transfer.value(&power)
    try transfer.integer(&issued)
    try transfer.integer(&slot, in: 0...31)
    try transfer.flag(&isHalted)
    try transfer.flag(&isInSoftwareReset)
    try transfer.flag(&hasSignatureToSend)
  }
}
