/// Addresses that the tables name and that firmware chooses, or the VMM for a guest without any.
///
/// The guest may have chosen them: whatever the chip set's registers can hold is described and
/// traps nowhere, whether or not an operating system can use it.
public struct ACPIAddresses: Hashable, Sendable {
  /// Configuration registers in memory (*ECAM*), for segment 0 from bus 0 on.
  public struct ConfigurationSpace: Hashable, Sendable {
    /// The registers of bus 0.
    public let start: UInt64
    /// The last bus that has registers there.
    public let lastBus: UInt8

    /// Registers of buses 0 to `lastBus`.
    public init(start: UInt64, lastBus: UInt8) {
      self.start = start
      self.lastBus = lastBus
    }

    /// 1 MiB for each bus.
    var byteCount: UInt64 { (UInt64(lastBus) + 1) << 20 }
  }

  /// The first ports of ACPI's fixed registers.
  public struct PowerManagement: Hashable, Sendable {
    /// *PM1a_EVT_BLK*: status and enable, 2 bytes each.
    public let eventPort: UInt16
    /// *PM1a_CNT_BLK*: control, 2 bytes.
    public let controlPort: UInt16
    /// *PM_TMR_BLK*: a 32-bit counter at 3.579545 MHz.
    public let timerPort: UInt16
    /// *GPE0_BLK*: status and enable of general purpose events, 8 bytes each; nil without any.
    public let generalEventPort: UInt16?
    /// The ports that the chip set decodes for all of them, from `eventPort` on.
    public let portCount: UInt8

    /// Ports as a chip set has them.
    public init(
      eventPort: UInt16, controlPort: UInt16, timerPort: UInt16, generalEventPort: UInt16? = nil,
      portCount: UInt8
    ) {
      self.eventPort = eventPort
      self.controlPort = controlPort
      self.timerPort = timerPort
      self.generalEventPort = generalEventPort
      self.portCount = portCount
    }
  }

  /// Nil if configuration registers are nowhere in memory.
  public var configurationSpace: ConfigurationSpace?
  /// The 32-bit addresses that PCI BARs may have, ascending.
  public var pciMemoryWindows: [ClosedRange<UInt32>]
  /// The addresses from 4 GiB on that 64-bit PCI BARs may have, besides the 32-bit ones; nil for
  /// none.
  public var pciMemory64Window: ClosedRange<UInt64>?
  /// Where ACPI's fixed registers are.
  public var powerManagement: PowerManagement
  /// ACPI's own interrupt (*SCI*): level.
  public var systemControlInterrupt: UInt8
  /// The chip set's root complex registers (*RCBA*), 16 KiB; nil if they are nowhere.
  public var rootComplexBase: UInt32?

  /// Addresses as a chip set has them; nothing is checked.
  public init(
    configurationSpace: ConfigurationSpace?, pciMemoryWindows: [ClosedRange<UInt32>],
    pciMemory64Window: ClosedRange<UInt64>? = nil, powerManagement: PowerManagement,
    systemControlInterrupt: UInt8, rootComplexBase: UInt32? = nil
  ) {
    self.configurationSpace = configurationSpace
    self.pciMemoryWindows = pciMemoryWindows
    self.pciMemory64Window = pciMemory64Window
    self.powerManagement = powerManagement
    self.systemControlInterrupt = systemControlInterrupt
    self.rootComplexBase = rootComplexBase
  }
}
