internal import DeviceKit
internal import HostSystem

/// The registers, 4 bytes each. What has no effect here is stored, as drivers read it back.
extension E1000ECore {
  /// What a write makes necessary.
  struct Consequences: OptionSet {
    let rawValue: UInt8

    /// Causes or masks have changed.
    static let interrupts = Consequences(rawValue: 1 << 0)
    /// There may be frames to send.
    static let transmit = Consequences(rawValue: 1 << 1)
    /// Frames that wait may be taken, or dropped.
    static let receive = Consequences(rawValue: 1 << 2)
  }

  /// Bits of *EEC*: access granted, there is a memory of 64 words, which was read at power-on.
  private static let nvmControl: UInt32 = 1 << 7 | 1 << 8 | 1 << 9

  /// Bits of *MDIC*.
  private enum PHYAccess {
    static let write: UInt32 = 1 << 26
    static let read: UInt32 = 2 << 26
    static let operation: UInt32 = 3 << 26
    static let ready: UInt32 = 1 << 28
    static let interrupt: UInt32 = 1 << 29
    static let error: UInt32 = 1 << 30
    static let address: UInt32 = 1
  }

  /// - Parameter offset: a multiple of 4 within BAR 0.
  mutating func read(_ offset: UInt64) -> UInt32 {
    switch offset {
    case E1000ERegister.control: self[offset] & ~E1000EControl.selfClearing
    case E1000ERegister.status: status
    case E1000ERegister.nvmControl: self[offset] & ~(0xF << 11) | Self.nvmControl
    case E1000ERegister.cause: readCauses()
    case E1000ERegister.causeSet: 0
    case E1000ERegister.maskSet: mask.rawValue
    case E1000ERegister.maskClear: 0
    case E1000ERegister.statistics..<E1000ERegister.statisticsEnd: readStatistic(offset)
    case E1000ERegister.timeLow: UInt32(truncatingIfNeeded: time)
    case E1000ERegister.timeHigh: UInt32(truncatingIfNeeded: time >> 32)
    default: self[offset]
    }
  }

  private var status: UInt32 {
    let control = self[E1000ERegister.control]
    var value = E1000EStatus.always
    if hasLink { value |= E1000EStatus.linkUp }
    if control & E1000EControl.masterDisable == 0 { value |= E1000EStatus.masterEnabled }
    return value
  }

  /// *SYSTIM*: every so many periods of 40 ns the increment is added (*TIMINCA*).
  private var time: UInt64 {
    let setting = self[E1000ERegister.timeIncrement]
    let periods = HostClock.monotonicNanoseconds() / 40 / UInt64(max(setting >> 24, 1))
    return periods &* UInt64(setting & 0xFF_FFFF)
  }

  /// - Parameter offset: a multiple of 4 within BAR 0.
  mutating func write(_ offset: UInt64, _ value: UInt32) -> Consequences {
    switch offset {
    case E1000ERegister.control: return writeControl(value)
    case E1000ERegister.status, E1000ERegister.statistics..<E1000ERegister.statisticsEnd:
      return []
    case E1000ERegister.nvmRead:
      // Done at once: bit 1. Words are addressed from bit 2 on.
      self[offset] =
        value & 0xFFFC | 2 | UInt32(nvm.word(at: Int(value >> 2 & 0x3FFF))) << 16
      return []
    case E1000ERegister.nvmWrite:
      if value & 1 != 0 {
        nvm.write(UInt16(truncatingIfNeeded: value >> 16), at: Int(value >> 2 & 0x3FFF))
      }
      self[offset] = value | 2
      return []
    case E1000ERegister.extendedControl:
      self[offset] = value & ~E1000EExtendedControl.resetNVM
      return []
    case E1000ERegister.phyAccess:
      accessPHY(value)
      return .interrupts
    case E1000ERegister.cause:
      clearCauses(E1000ECauses(rawValue: value))
      return .interrupts
    case E1000ERegister.causeSet:
      raise(E1000ECauses(rawValue: value).intersection(.all))
      return .interrupts
    case E1000ERegister.maskSet:
      mask.formUnion(E1000ECauses(rawValue: value).intersection(.all))
      return .interrupts
    case E1000ERegister.maskClear:
      mask.subtract(E1000ECauses(rawValue: value))
      return .interrupts
    case E1000ERegister.receiveControl:
      self[offset] = value
      return .receive
    case E1000ERegister.transmitControl:
      self[offset] = value
      return .transmit
    case E1000ERegister
      .receiveRing..<(E1000ERegister.receiveRing + 2 * E1000ERegister.ringByteCount):
      self[offset] = Self.ringValue(offset, value)
      return isTail(offset) ? .receive : []
    case E1000ERegister
      .transmitRing..<(E1000ERegister.transmitRing + 2 * E1000ERegister.ringByteCount):
      self[offset] = Self.ringValue(offset, value)
      return isTail(offset) ? .transmit : []
    default:
      self[offset] = value
      return []
    }
  }

  private func isTail(_ offset: UInt64) -> Bool {
    offset % E1000ERegister.ringByteCount == E1000ERegister.Ring.tail
  }

  /// What of a value is kept in a register of a ring.
  private static func ringValue(_ offset: UInt64, _ value: UInt32) -> UInt32 {
    switch offset % E1000ERegister.ringByteCount {
    case E1000ERegister.Ring.addressLow: value & ~0xF
    case E1000ERegister.Ring.length: value & 0xF_FF80
    case E1000ERegister.Ring.head, E1000ERegister.Ring.tail: value & 0xFFFF
    default: value
    }
  }

  private mutating func writeControl(_ value: UInt32) -> Consequences {
    guard value & E1000EControl.reset == 0 else {
      reset()
      return [.interrupts, .receive]
    }
    let hadLink = hasLink
    self[E1000ERegister.control] = value & ~E1000EControl.selfClearing
    if value & E1000EControl.resetPHY != 0 { phy = E1000EPHY() }
    if hasLink != hadLink { raise(.linkChange) }
    return [.interrupts, .receive]
  }

  private mutating func accessPHY(_ value: UInt32) {
    var result = value & ~(PHYAccess.ready | PHYAccess.error)
    let register = Int(value >> 16 & 0x1F)
    let isOurs = value >> 21 & 0x1F == PHYAccess.address
    switch value & PHYAccess.operation {
    case PHYAccess.read where isOurs:
      result = result & ~0xFFFF | UInt32(phy.read(register, hasLink: hasCarrier))
    case PHYAccess.write where isOurs:
      if phy.write(UInt16(truncatingIfNeeded: value), to: register), hasCarrier {
        raise(.linkChange)
      }
    default: result |= PHYAccess.error
    }
    self[E1000ERegister.phyAccess] = result | PHYAccess.ready
    if value & PHYAccess.interrupt != 0 { raise(.phyAccess) }
  }
}

extension E1000ECore {
  private struct Stored {
    var index = 0
    var value: UInt32 = 0
  }

  /// Registers that are not 0, of which there are few.
  mutating func transferRegisters(_ transfer: inout StateTransfer) throws(StateError) {
    let count = registers.count
    var stored = registers.indices.filter { registers[$0] != 0 }.map {
      Stored(index: $0, value: registers[$0])
    }
    var next = 0
    try transfer.elements(&stored, maximumCount: count, new: Stored()) {
      (transfer, register) throws(StateError) in
      try transfer.integer(&register.index, in: min(next, count - 1)...(count - 1))
      try transfer.integer(&register.value)
      next = register.index + 1
    }
    guard transfer.isRestoring else { return }
    registers = Array(repeating: 0, count: count)
    for register in stored { registers[register.index] = register.value }
    for ring in [E1000ERegister.receiveRing, E1000ERegister.transmitRing] {
      for offset in stride(from: ring, to: ring + 2 * E1000ERegister.ringByteCount, by: 4) {
        try transfer.check(
          Self.ringValue(offset, self[offset]) == self[offset], "a ring's register \(offset)")
      }
    }
  }
}
