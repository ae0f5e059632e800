import ACPI
import Testing

extension LegacyDevices {
  static let all: LegacyDevices = [
    .serialPort1, .ps2Controller, .realTimeClock, .firmwareConfiguration, .vga,
  ]
}

extension ACPIAddresses {
  /// What firmware for this chip set usually programs.
  static let usual = ACPIAddresses(
    configurationSpace: ConfigurationSpace(start: 0xB000_0000, lastBus: 0xFF),
    pciMemoryWindows: [0x8000_0000...0xAFFF_FFFF, 0xC000_0000...0xFBFF_FFFF],
    powerManagement: .block(at: 0x600), systemControlInterrupt: 9, rootComplexBase: 0xFED1_C000)

  /// All as high as the registers go.
  static let highest = ACPIAddresses(
    configurationSpace: ConfigurationSpace(start: 0xF_FC00_0000, lastBus: 0x3F),
    pciMemoryWindows: [0x8000_0000...0xFBFF_FFFF], powerManagement: .block(at: 0xFF80),
    systemControlInterrupt: 23, rootComplexBase: 0xFFFF_C000)

  /// Nothing programmed.
  static let none = ACPIAddresses(
    configurationSpace: nil, pciMemoryWindows: [], powerManagement: .block(at: 0x80),
    systemControlInterrupt: 10)
}

extension ACPIAddresses.PowerManagement {
  static func block(at port: UInt16) -> ACPIAddresses.PowerManagement {
    ACPIAddresses.PowerManagement(
      eventPort: port, controlPort: port + 4, timerPort: port + 8, generalEventPort: port + 0x20,
      portCount: 0x80)
  }
}

extension ACPIPlatform {
  init(vcpuCount: Int, legacyDevices: LegacyDevices) {
    self.init(vcpuCount: vcpuCount, addresses: .usual, legacyDevices: legacyDevices)
  }
}

/// A platform with a name for a test's arguments.
struct NamedPlatform: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let platform: ACPIPlatform

  /// Two vCPUs and what most machines have.
  static let usual = NamedPlatform(
    testDescription: "usual",
    platform: ACPIPlatform(
      vcpuCount: 2,
      legacyDevices: [.serialPort1, .ps2Controller, .realTimeClock, .firmwareConfiguration]))

  static let least = NamedPlatform(
    testDescription: "least",
    platform: ACPIPlatform(vcpuCount: 1, addresses: .none, legacyDevices: []))

  /// Ids on both sides of the border of local APIC and x2APIC entries, all devices and windows, the
  /// ECAM elsewhere.
  static let most = NamedPlatform(
    testDescription: "most",
    platform: ACPIPlatform(
      apicIDs: Array(0..<250) + [253, 254, 255, 256, 0x1_0000],
      addresses: ACPIAddresses(
        configurationSpace: ACPIAddresses.ConfigurationSpace(start: 0xC000_0000, lastBus: 0x7F),
        pciMemoryWindows: [0xD000_0000...0xEFFF_FFFF],
        pciMemory64Window: 0x3800_0000_0000...0x3FFF_FFFF_FFFF,
        powerManagement: .block(at: 0xB000), systemControlInterrupt: 9,
        rootComplexBase: 0xFED1_C000),
      legacyDevices: .all, tpm: ACPIPlatform.TPM(eventLogByteCount: 0), hasGenerationID: true,
      hasVMBus: true))

  static let highest = NamedPlatform(
    testDescription: "highest",
    platform: ACPIPlatform(
      vcpuCount: 3, addresses: .highest, legacyDevices: [.serialPort1, .realTimeClock],
      tpm: ACPIPlatform.TPM(eventLogByteCount: 0)))

  static let all = [usual, least, most, highest]
}
