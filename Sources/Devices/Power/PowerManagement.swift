public import DeviceKit
internal import HostSystem

/// The fixed ACPI registers: power button, soft-off and power management timer.
///
/// | offset | register |
/// | --- | --- |
/// | 0 | *PM1_STS*, 16 bits, writing 1 clears |
/// | 2 | *PM1_EN*, 16 bits |
/// | 4 | *PM1_CNT*, 16 bits |
/// | 8 | *PM_TMR*, 32 bits |
/// | 0x20 | *GPE0_STS*, 64 bits, writing 1 clears |
/// | 0x28 | *GPE0_EN*, 64 bits |
/// | 0x30 | *SMI_EN*, 32 bits, with system management mode |
///
/// All others read as 0. Source: ACPI 6.5 §4.8.3 and §4.8.4.1; ICH9 datasheet, 13.8.3.
public final class PowerManagement: BusDevice {
  /// The ports of the block, from where the LPC bridge's *PMBASE* has it.
  public static let portCount: UInt16 = 0x80
  /// Offsets of *PM1_STS* and *PM1_EN*, *PM1_CNT* and *PM_TMR*.
  public static let eventOffset: UInt16 = 0
  /// Where *PM1_CNT* is in the block.
  public static let controlOffset: UInt16 = 4
  /// Where *PM_TMR* is in the block.
  public static let timerOffset: UInt16 = 8
  /// Where *GPE0_STS* is in the block; *GPE0_EN* follows.
  public static let generalEventOffset: UInt16 = 0x20

  /// *SMI_EN*.
  private static let managementOffset: UInt64 = 0x30
  private static let generalEvents =
    UInt64(generalEventOffset)..<(UInt64(generalEventOffset) + 16)

  private static let timerStatus: UInt16 = 0x0001
  private static let powerButtonStatus: UInt16 = 0x0100
  private static let clockStatus: UInt16 = 0x0400
  /// Timer, global lock, power button, sleep button, real-time clock.
  private static let enableMask: UInt16 = 0x0721
  private static let interruptEnable: UInt16 = 0x0001
  /// *SCI_EN*, *BM_RLD* and *SLP_TYP*; *GBL_RLS* and *SLP_EN* read as 0.
  private static let controlMask: UInt16 = 0x1C03
  private static let sleepEnable: UInt16 = 0x2000

  private struct State {
    var status: UInt16 = 0
    var enabled: UInt16 = 0
    var control: UInt16
    var generalStatus: UInt64 = 0
    var generalEnabled: UInt64 = 0
    /// The timer's carries that are in `status` or were cleared.
    var seenCarryCount: UInt64
    var line: DrivenLine
  }

  private let state: Guarded<State>
  private let timer: PMTimer
  private let softOffType: UInt16
  private let management: SystemManagementControl?
  private let onPowerOff: @Sendable () -> Void

  /// A block as after reset.
  ///
  /// - Parameters:
  ///   - timer: read at offset 8.
  ///   - line: the SCI: a level, asserted while a status bit is set that is enabled.
  ///   - isACPIEnabled: presets *SCI_EN*, for a guest started without firmware.
  ///   - softOffType: the *SLP_TYP* that switches off, 0 to 7; must equal `\_S5` of the DSDT.
  ///   - management: whose *SMI_EN* is among the registers; nil without system management mode.
  ///   - onPowerOff: called on the vCPU's thread with no lock held, at each request.
  public init(
    timer: PMTimer, line: (any InterruptLine)?, isACPIEnabled: Bool = false,
    softOffType: UInt8 = 0, management: SystemManagementControl? = nil,
    onPowerOff: @escaping @Sendable () -> Void
  ) {
    state = Guarded(
      State(
        control: isACPIEnabled ? Self.interruptEnable : 0, seenCarryCount: timer.carryCount,
        line: DrivenLine(line)))
    self.timer = timer
    self.softOffType = UInt16(softOffType & 7)
    self.management = management
    self.onPowerOff = onPowerOff
  }

  /// Tells the guest that the button was pressed.
  ///
  /// - Returns: whether the guest has enabled the event; one that has not will see it once it does.
  @discardableResult
  public func pressPowerButton() -> Bool {
    state.withLock { state in
      state.status |= Self.powerButtonStatus
      Self.driveLine(&state)
      return state.enabled & Self.powerButtonStatus != 0
    }
  }

  /// The real-time clock's alarm goes off (*RTC_STS*): an operating system that sleeps may wait for
  /// it.
  public func soundAlarm() {
    state.withLock { state in
      state.status |= Self.clockStatus
      Self.driveLine(&state)
    }
  }

  /// A general purpose event happens: an operating system that listens to it runs its method.
  ///
  /// - Parameter number: 0 to 63; others do nothing.
  public func raiseGeneralEvent(_ number: UInt8) {
    guard number < 64 else { return }
    state.withLock { state in
      state.generalStatus |= 1 << UInt64(number)
      Self.driveLine(&state)
    }
  }

  /// Notices a timer carry since the last access; without such calls the SCI for it waits for one.
  public func update() {
    state.withLock { state in
      noticeCarry(&state)
      Self.driveLine(&state)
    }
  }

  /// The registers from `offset`, byte by byte.
  public func read(offset: UInt64, width: Int) -> UInt64 {
    // First and without the lock: guests wait by reading it.
    if (8..<12).contains(offset) { return timer.read(offset: offset - 8, width: width) }
    if let management, (Self.managementOffset..<(Self.managementOffset + 4)).contains(offset) {
      return UInt64(management.enabled) >> (8 * (offset - Self.managementOffset))
    }
    if Self.generalEvents.contains(offset) {
      return readGeneralEvents(offset: offset - Self.generalEvents.lowerBound, width: width)
    }
    guard offset < 8 else { return 0 }
    return state.withLock { state in
      noticeCarry(&state)
      Self.driveLine(&state)
      let words = [state.status, state.enabled, state.control, 0]
      return ByteLanes.read(offset: offset, width: width, registerCount: .max) { index in
        guard index < 8 else { return 0 }
        return UInt8(truncatingIfNeeded: words[Int(index / 2)] >> (8 * UInt16(index % 2)))
      }
    }
  }

  /// Writes the registers from `offset`, byte by byte; *SMI_EN* in one piece, as firmware does.
  public func write(offset: UInt64, width: Int, value: UInt64) {
    if offset == Self.managementOffset, width == 4 {
      management?.enabled = UInt32(truncatingIfNeeded: value)
      return
    }
    if Self.generalEvents.contains(offset) {
      return writeGeneralEvents(
        offset: offset - Self.generalEvents.lowerBound, width: width, value: value)
    }
    let switchesOff = state.withLock { state in
      noticeCarry(&state)
      var sleeps = false
      ByteLanes.write(offset: offset, width: width, value: value, registerCount: 6) { index, byte in
        let shift = 8 * UInt16(index % 2)
        let bits = UInt16(byte) << shift
        let lane: UInt16 = 0xFF << shift
        switch index / 2 {
        case 0: state.status &= ~bits
        case 1: state.enabled = state.enabled & ~lane | bits & Self.enableMask
        default:
          state.control = state.control & ~lane | bits & Self.controlMask
          if bits & Self.sleepEnable != 0 { sleeps = true }
        }
      }
      Self.driveLine(&state)
      // Other sleep types are ignored: this machine only has S0 and S5.
      return sleeps && (state.control >> 10) & 7 == softOffType
    }
    if switchesOff { onPowerOff() }
  }

  private func readGeneralEvents(offset: UInt64, width: Int) -> UInt64 {
    state.withLock { state in
      ByteLanes.read(offset: offset, width: width, registerCount: 16) { index in
        let register = index < 8 ? state.generalStatus : state.generalEnabled
        return UInt8(truncatingIfNeeded: register >> (8 * (index % 8)))
      }
    }
  }

  private func writeGeneralEvents(offset: UInt64, width: Int, value: UInt64) {
    state.withLock { state in
      ByteLanes.write(
        offset: offset, width: width, value: value, registerCount: 16
      ) { index, byte in
        let shift = 8 * (index % 8)
        let bits = UInt64(byte) << shift
        if index < 8 {
          state.generalStatus &= ~bits
        } else {
          state.generalEnabled = state.generalEnabled & ~(0xFF << shift) | bits
        }
      }
      Self.driveLine(&state)
    }
  }

  private func noticeCarry(_ state: inout State) {
    let carryCount = timer.carryCount
    guard carryCount != state.seenCarryCount else { return }
    state.seenCarryCount = carryCount
    state.status |= Self.timerStatus
  }

  private static func driveLine(_ state: inout State) {
    state.line.set(
      state.status & state.enabled != 0 || state.generalStatus & state.generalEnabled != 0)
  }
}

extension PowerManagement: StatefulDevice {
  /// The registers and the timer.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try timer.transferState(&transfer)
    try state.withLock { (state) throws(StateError) in
      try transfer.integer(&state.status)
      try transfer.integer(&state.enabled)
      try transfer.integer(&state.control)
      try transfer.integer(&state.generalStatus)
      try transfer.integer(&state.generalEnabled)
      try transfer.integer(&state.seenCarryCount)
      if transfer.isRestoring { Self.driveLine(&state) }
    }
  }
}
