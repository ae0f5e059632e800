import ACPI
import Testing

extension LegacyDevices {
  static let all: LegacyDevices = [
    .serialPort1, .ps2Controller, .realTimeClock, .firmwareConfiguration, .vga,
  ]
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
    testDescription: "least", platform: ACPIPlatform(vcpuCount: 1, legacyDevices: []))

  /// Ids on both sides of the border of local APIC and x2APIC entries, all devices and windows, the
  /// ECAM elsewhere.
  static let most = NamedPlatform(
    testDescription: "most",
    platform: ACPIPlatform(
      apicIDs: Array(0..<250) + [253, 254, 255, 256, 0x1_0000],
      pciMemoryWindow: 0xD000_0000...0xEFFF_FFFF,
      pciMemory64Window: 0x3800_0000_0000...0x3FFF_FFFF_FFFF,
      ecamBase: 0xC000_0000,
      legacyDevices: .all))

  static let all = [usual, least, most]
}
