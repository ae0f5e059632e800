internal import DeviceKit
internal import HostSystem

/// The registers. Source: xHCI 1.2 §5, §7.
extension XHCICore {
  /// Offsets in the BAR; MSI-X is behind `endOffset`.
  enum Register {
    static let capabilityByteCount: UInt64 = 0x00
    static let operational: UInt64 = 0x40
    static let firstPort: UInt64 = operational + 0x400
    static let portByteCount: UInt64 = 0x10
    static let extended: UInt64 = 0x800
    static let runtime: UInt64 = 0x1000
    static let interrupter: UInt64 = runtime + 0x20
    static let interrupterByteCount: UInt64 = 0x20
    static let bells: UInt64 = 0x2000
    static let endOffset: UInt64 = 0x3000

    // Operational ones.
    static let command = operational
    static let status = operational + 0x04
    static let pageSize = operational + 0x08
    static let notifications = operational + 0x14
    static let commandRing = operational + 0x18
    static let contextArray = operational + 0x30
    static let configuration = operational + 0x38
  }

  /// Version 1.0; 64 slots, one interrupter; the ring of events may have 16 segments; addresses of
  /// 64 bits, contexts of 32 bytes. No streams, no latency or bandwidth messages, no scratchpad.
  private static let capabilities: [UInt32] = [
    0x0100_0000 | UInt32(Register.operational),
    UInt32(slotCount) | 1 << 8 | UInt32(2 * connectorCount) << 24,
    XHCIInterrupter.maximumSegmentExponent << 4,
    0,
    1 | UInt32(Register.extended / 4) << 16,
    UInt32(Register.bells),
    UInt32(Register.runtime),
    0,
  ]

  /// *Supported Protocol*, once for USB 2 and once for USB 3: version, name, ports. Firmware owns
  /// nothing, so there is no *Legacy Support*.
  private static let extendedCapabilities: [UInt32] = [
    0x0200_0402, 0x2042_5355, UInt32(connectorCount) << 8 | 1, 0,
    0x0300_0002, 0x2042_5355, UInt32(connectorCount) << 8 | UInt32(connectorCount + 1), 0,
  ]

  /// - Parameter offset: a multiple of 4.
  func read(_ offset: UInt64) -> UInt32 {
    switch offset {
    case ..<Register.operational: Self.word(offset, of: Self.capabilities)
    case Register.command: command | (isRunning ? Command.run : 0)
    case Register.status: status | (isRunning ? 0 : Status.halted)
    case Register.pageSize: 1
    case Register.notifications: notifications
    // The pointer reads as 0.
    case Register.commandRing: isCommandRingRunning ? 8 : 0
    case Register.contextArray: UInt32(truncatingIfNeeded: contextArray)
    case Register.contextArray + 4: UInt32(truncatingIfNeeded: contextArray >> 32)
    case Register.configuration: configuration
    case Register.firstPort..<Register.extended:
      if let (port, register) = place(ofPort: offset) {
        ports[port].read(register)
      } else {
        0
      }
    case Register.extended..<Register.runtime:
      Self.word(offset - Register.extended, of: Self.extendedCapabilities)
    // *MFINDEX*, which counts 125 microseconds.
    case Register.runtime:
      isRunning ? UInt32(HostClock.monotonicNanoseconds() / 125_000 & 0x3FFF) : 0
    case Register.interrupter..<(Register.interrupter + Register.interrupterByteCount):
      interrupter.read(offset - Register.interrupter)
    default: 0
    }
  }

  private static func word(_ offset: UInt64, of words: [UInt32]) -> UInt32 {
    let index = Int(offset / 4)
    return words.indices.contains(index) ? words[index] : 0
  }

  private func place(ofPort offset: UInt64) -> (Int, UInt64)? {
    let port = Int((offset - Register.firstPort) / Register.portByteCount)
    return ports.indices.contains(port) ? (port, offset % Register.portByteCount) : nil
  }

  /// - Parameter offset: a multiple of 4.
  mutating func write(_ offset: UInt64, _ value: UInt32) {
    switch offset {
    case Register.command: writeCommand(value)
    case Register.status: status &= ~(value & Status.clearable)
    case Register.notifications: notifications = value & 0xFFFF
    case Register.commandRing: writeCommandRing(value)
    case Register.commandRing + 4:
      guard !isCommandRingRunning else { return }
      commandRing.pointer = commandRing.pointer & 0xFFFF_FFFF | UInt64(value) << 32
    case Register.contextArray:
      contextArray = contextArray & ~0xFFFF_FFFF | UInt64(value & ~0x3F)
    case Register.contextArray + 4:
      contextArray = contextArray & 0xFFFF_FFFF | UInt64(value) << 32
    case Register.configuration: configuration = value & 0x3FF
    case Register.firstPort..<Register.extended:
      guard let (port, register) = place(ofPort: offset) else { return }
      ports[port].write(register, value)
      notePorts()
      wakeTransfers(ofPort: port)
    case Register.interrupter..<(Register.interrupter + Register.interrupterByteCount):
      interrupter.write(offset - Register.interrupter, value)
      if interrupter.isPending { status |= Status.eventInterrupt }
    case Register.bells..<(Register.bells + 4 * UInt64(Self.slotCount + 1)):
      ring(Int((offset - Register.bells) / 4), value)
    default: break
    }
  }

  private mutating func writeCommand(_ value: UInt32) {
    guard value & Command.reset == 0 else { return reset() }
    command = value & Command.stored
    // What was saved is in contexts, which are the guest's: without the rest, it starts anew.
    if value & Command.restore != 0 { status |= Status.restoreError }
    guard value & Command.run != 0 else {
      isRunning = false
      isCommandRingRunning = false
      hasStoppedCommands = false
      commandCredit = 0
      return
    }
    if status & Status.systemError == 0 { isRunning = true }
  }

  private mutating func writeCommandRing(_ value: UInt32) {
    guard isCommandRingRunning else {
      commandRing = XHCIRing(commandRing.pointer & ~0xFFFF_FFFF | UInt64(value & ~0x3E))
      return
    }
    // Stop, or abort: each command ends at once.
    guard value & 6 != 0 else { return }
    isCommandRingRunning = false
    commandCredit = 0
    hasStoppedCommands = true
  }

  /// A device that was asleep may have something to report.
  private mutating func wakeTransfers(ofPort port: Int) {
    guard ports[port].isActive, let slot = slot(ofPort: port) else { return }
    for index in 0..<XHCISlot.contextCount where slots[slot]?.endpoints[index]?.state == .running {
      slots[slot]?.endpoints[index]?.credit = Self.bellCredit
    }
  }
}
