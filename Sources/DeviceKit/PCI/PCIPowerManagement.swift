internal import Bytes

// Power management (PCI Bus Power Management Interface 1.2 §3): D0 and D3hot, as every function of
// PCI Express has to have.
extension PCIConfigurationSpace {
  private enum PowerManagement {
    static let identifier: UInt8 = 0x01
    /// *PMC*: version 1.2; neither D1, D2 nor PME#.
    static let capabilities: UInt16 = 0x0003
    /// *PMCSR*'s place behind the identifier.
    static let control = 4
    /// *No_Soft_Reset*: D3hot keeps all registers and what the device knows.
    static let noSoftReset: UInt16 = 1 << 3
    /// *PowerState*.
    static let state: UInt16 = 3
    static let d3: UInt16 = 3
  }

  /// Adds the capability.
  public mutating func addPowerManagement() {
    let body = [PowerManagement.capabilities, PowerManagement.noSoftReset].littleEndianBytes
    // Bridge extensions and data: none.
    let offset = addCapability(PowerManagement.identifier, body: body + [0, 0])
    powerControl = offset + PowerManagement.control
    makeWritable(PowerManagement.state, at: offset + PowerManagement.control)
  }

  /// Whether the function is in D0: in D3hot it answers accesses to its configuration, and nothing
  /// else, and leaves memory alone.
  public var isAwake: Bool {
    guard let powerControl else { return true }
    let control: UInt16 = value(at: powerControl)
    return control & PowerManagement.state != PowerManagement.d3
  }

  /// Takes back a state that there is not, D1 or D2: the write of one changes nothing.
  mutating func settlePowerState(before: UInt16) {
    guard let powerControl else { return }
    let control: UInt16 = value(at: powerControl)
    let state = control & PowerManagement.state
    if state != 0, state != PowerManagement.d3 { preset(before, at: powerControl) }
  }

  /// *PMCSR*; 0 without the capability.
  var powerControlValue: UInt16 {
    powerControl.map { value(at: $0) } ?? 0
  }
}
