import ACPI
import Testing

struct ACPIPlatformTests {
  @Test func defaultsAreThoseOfTheFirmware() {
    let platform = ACPIPlatform(vcpuCount: 3, legacyDevices: [])
    #expect(platform.apicIDs == [0, 1, 2])
    #expect(platform.vcpuCount == 3)
    #expect(platform.pciMemoryWindow == 0xC000_0000...0xFBFF_FFFF)
    #expect(platform.pciMemory64Window == nil)
    #expect(platform.ecamBase == 0xB000_0000)
  }

  @Test(
    arguments: [
      (1, 0, 17), (1, 3, 20), (7, 0, 23), (7, 1, 16), (31, 0, 23), (31, 3, 18),
    ] as [(UInt32, UInt32, UInt32)])
  func pciInterruptsRotate(device: UInt32, pin: UInt32, gsi: UInt32) {
    #expect(ACPIFixedHardware.pciInterrupt(device: device, pin: pin) == gsi)
  }

  @Test func contradictionsTrap() async {
    await #expect(processExitsWith: .failure) {
      _ = ACPIPlatform(vcpuCount: 0, legacyDevices: [])
    }
    await #expect(processExitsWith: .failure) {
      _ = ACPIPlatform(vcpuCount: 4097, legacyDevices: [])
    }
    await #expect(processExitsWith: .failure) {
      _ = ACPIPlatform(apicIDs: [0, 2, 2], legacyDevices: [])
    }
    await #expect(processExitsWith: .failure) {
      _ = ACPIPlatform(apicIDs: [0], ecamBase: 0xB800_0000, legacyDevices: [])
    }
    await #expect(processExitsWith: .failure) {
      _ = ACPIPlatform(apicIDs: [0], ecamBase: 0xC000_0000, legacyDevices: [])
    }
    await #expect(processExitsWith: .failure) {
      _ = ACPIPlatform(apicIDs: [0], ecamBase: 0xF000_0000, legacyDevices: [])
    }
    await #expect(processExitsWith: .failure) {
      _ = ACPIPlatform(
        apicIDs: [0], pciMemoryWindow: 0xC000_0000...0xFEC0_0000, legacyDevices: [])
    }
    await #expect(processExitsWith: .failure) {
      _ = ACPIPlatform(
        apicIDs: [0], pciMemory64Window: 0xFFFF_F000...0x1_FFFF_FFFF, legacyDevices: [])
    }
  }
}
