internal import Bytes
public import DeviceKit
internal import HostSystem

/// What asks for system management interrupts: the ports of advanced power management, *SMI_EN*
/// among the ACPI ports, and how firmware and machine agree on what an interrupt does.
///
/// | port | register |
/// | --- | --- |
/// | 0xB2 | *APM_CNT*, 8 bits: writing it interrupts, if *SMI_EN* has *APMC_EN* and *GBL_SMI_EN* |
/// | 0xB3 | *APM_STS*, 8 bits: stores |
///
/// An interrupt goes to all processors, as the chip's pin has it. Any thread. Source: ICH9
/// datasheet, 13.7 and 13.8.3; QEMU's docs/specs for the files.
public final class SystemManagementControl: BusDevice {
  /// *APM_CNT* and *APM_STS*.
  public static let ports = PortRange(start: 0xB2, count: 2)

  /// The file in which firmware finds what is possible: 64 bits.
  public static let supportedFeaturesFileName = "etc/smi/supported-features"
  /// The file in which it writes what it wants: 64 bits.
  public static let requestedFeaturesFileName = "etc/smi/requested-features"
  /// The file that says by a 1 that this is possible, and ends the negotiation.
  public static let featuresOKFileName = "etc/smi/features-ok"

  /// *ICH9_LPC_SMI_F_BROADCAST*: all processors are interrupted.
  public static let broadcast: UInt64 = 1 << 0
  /// In *SMI_EN*: interrupts are on at all.
  private static let globalEnable: UInt32 = 1 << 0
  /// In *SMI_EN*: *APM_CNT* interrupts.
  private static let commandEnable: UInt32 = 1 << 5

  private struct State {
    var enabled: UInt32 = 0
    var isLocked = false
    var control: UInt8 = 0
    var status: UInt8 = 0
    var requested: UInt64 = 0
    var isAgreed = false
  }

  private let state = Guarded(State())
  private let onInterrupt: @Sendable () -> Void

  /// As after reset: nothing interrupts.
  ///
  /// - Parameter onInterrupt: called on a vCPU's thread, with no lock held.
  public init(onInterrupt: @escaping @Sendable () -> Void) {
    self.onInterrupt = onInterrupt
  }

  /// Reads the ports.
  public func read(offset: UInt64, width: Int) -> UInt64 {
    let (control, status) = state.withLock { ($0.control, $0.status) }
    return ByteLanes.read(offset: offset, width: width, registerCount: 2) {
      $0 == 0 ? control : status
    }
  }

  /// Writes the ports; a write of *APM_CNT* may interrupt.
  public func write(offset: UInt64, width: Int, value: UInt64) {
    let interrupts = state.withLock { state in
      var isCommand = false
      ByteLanes.write(offset: offset, width: width, value: value, registerCount: 2) { index, byte in
        if index == 0 {
          state.control = byte
          isCommand = true
        } else {
          state.status = byte
        }
      }
      let needed = Self.globalEnable | Self.commandEnable
      return isCommand && state.enabled & needed == needed
    }
    if interrupts { onInterrupt() }
  }

  // MARK: SMI_EN

  /// *SMI_EN*.
  var enabled: UInt32 {
    get { state.withLock { $0.enabled } }
    set {
      state.withLock { state in
        // Once they are locked, firmware's interrupts stay on.
        let kept = state.isLocked ? state.enabled & (Self.globalEnable | Self.commandEnable) : 0
        state.enabled = newValue & (Self.globalEnable | Self.commandEnable) | kept
      }
    }
  }

  /// *SMI_LOCK* of *GEN_PMCON_1*: until a reset.
  func lock() {
    state.withLock { $0.isLocked = true }
  }

  // MARK: The negotiation

  /// The files by which firmware asks for features, for `FirmwareItems.addLive`.
  public var files: [FirmwareItems.LiveFile] {
    [
      FirmwareItems.LiveFile(name: Self.supportedFeaturesFileName, byteCount: 8) {
        Self.broadcast.littleEndianBytes
      },
      FirmwareItems.LiveFile(
        name: Self.requestedFeaturesFileName, byteCount: 8,
        contents: { [self] in state.withLock { $0.requested.littleEndianBytes } },
        onWrite: { [self] in request($0.loadLE(at: 0)) }),
      FirmwareItems.LiveFile(name: Self.featuresOKFileName, byteCount: 1) { [self] in [agree()] },
    ]
  }

  private func request(_ features: UInt64) {
    state.withLock { state in
      if !state.isAgreed { state.requested = features }
    }
  }

  /// Whether what was requested is possible; if so it can no longer be changed.
  private func agree() -> UInt8 {
    state.withLock { state in
      if state.requested & ~Self.broadcast == 0 { state.isAgreed = true }
      return state.isAgreed ? 1 : 0
    }
  }
}

extension SystemManagementControl: StatefulDevice {
  /// The registers, and what firmware has agreed on.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try state.withLock { (state) throws(StateError) in
      try transfer.integer(&state.enabled)
      try transfer.flag(&state.isLocked)
      try transfer.integer(&state.control)
      try transfer.integer(&state.status)
      try transfer.integer(&state.requested)
      try transfer.flag(&state.isAgreed)
    }
  }
}
