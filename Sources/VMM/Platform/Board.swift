internal import ACPI
internal import DeviceKit
internal import Devices
internal import GuestMemory

/// Where things are on the board that have no fixed place: what the two bridges' registers say, and
/// what the VMM programs there for a guest that is started without firmware.
struct Board {
  /// Between low RAM and the I/O APIC, less what chip sets and flash may have there: BARs, and
  /// usually the configuration registers.
  static let pciHole = GuestMemoryLayout.lowEnd.rawValue..<0xFC00_0000
  /// Without firmware: configuration registers in memory, at a place that firmware for this chip
  /// set uses too.
  static let configurationRange = PCIExpressRange(start: 0xB000_0000, busCount: 256)
  /// Without firmware: where BARs have their ports, among those that no chip set uses.
  private static let pciPorts: Range<UInt64> = 0xC000..<0xD000
  /// Without firmware: the ACPI ports.
  private static let powerManagementBase: UInt16 = 0x600

  let hostBridge: HostBridge
  let isaBridge: ISABridge
  private let vcpuCount: Int
  private let legacyDevices: LegacyDevices
  /// Nil for a machine without one.
  let tpm: ACPIPlatform.TPM?
  private let hasVMBus: Bool

  /// - Parameters:
  ///   - power: behind the ACPI ports.
  ///   - systemControl: the interrupt that `power` asserts.
  ///   - management: what asks for system management interrupts, and their memory; nil without.
  init(
    power: PowerManagement, systemControl: SelectableLine, vcpuCount: Int,
    legacyDevices: LegacyDevices, tpm: ACPIPlatform.TPM? = nil, hasVMBus: Bool = false,
    management: (control: SystemManagementControl, memory: HostBridge.ManagementMemory)? = nil
  ) {
    hostBridge = HostBridge(management: management?.memory)
    isaBridge = ISABridge(
      power: power, systemControl: systemControl, management: management?.control)
    self.vcpuCount = vcpuCount
    self.legacyDevices = legacyDevices
    self.tpm = tpm
    self.hasVMBus = hasVMBus
  }

  /// The bridges, at their places.
  var functions: [(PCIAddress, any PCIFunction)] {
    [(HostBridge.address, hostBridge), (ISABridge.address, isaBridge)]
  }

  /// Does to the bridges, and to all BARs of `host`, what firmware would.
  func setUp(_ host: PCIHost) {
    hostBridge.placeConfiguration(at: Self.configurationRange.start)
    isaBridge.placePowerManagement(at: Self.powerManagementBase)
    host.assignResources(
      window: Self.configurationRange.addresses.upperBound..<Self.pciHole.upperBound,
      ports: Self.pciPorts)
  }

  /// What the tables say of this board as it is now.
  var platform: ACPIPlatform {
    ACPIPlatform(
      vcpuCount: vcpuCount, addresses: addresses, legacyDevices: legacyDevices, tpm: tpm,
      hasGenerationID: true, hasVMBus: hasVMBus)
  }

  private var addresses: ACPIAddresses {
    let configuration = hostBridge.configurationRange
    let base = isaBridge.powerManagementBase
    return ACPIAddresses(
      configurationSpace: configuration.map {
        ACPIAddresses.ConfigurationSpace(start: $0.start, lastBus: UInt8($0.busCount - 1))
      },
      pciMemoryWindows: Self.pciMemoryWindows(without: configuration),
      // A base is a multiple of 128, so that the last port is still one.
      powerManagement: ACPIAddresses.PowerManagement(
        eventPort: base + PowerManagement.eventOffset,
        controlPort: base + PowerManagement.controlOffset,
        timerPort: base + PowerManagement.timerOffset,
        generalEventPort: base + PowerManagement.generalEventOffset,
        portCount: UInt8(PowerManagement.portCount)),
      systemControlInterrupt: isaBridge.systemControlInterrupt,
      rootComplexBase: isaBridge.rootComplexBase)
  }

  /// What configuration registers in memory leave to BARs.
  static func pciMemoryWindows(without configuration: PCIExpressRange?) -> [ClosedRange<UInt32>] {
    let windows = configuration.map { pciHole.removing($0.addresses) } ?? [pciHole]
    // All below 4 GiB, as the hole is.
    return windows.map { UInt32($0.lowerBound)...UInt32($0.upperBound - 1) }
  }
}
