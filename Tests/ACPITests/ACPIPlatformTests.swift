import Testing

@testable import ACPI

struct ACPIPlatformTests {
  @Test func apicIDsAscendFromZero() {
    let platform = ACPIPlatform(vcpuCount: 3, legacyDevices: [])
    #expect(platform.apicIDs == [0, 1, 2])
    #expect(platform.vcpuCount == 3)
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
      _ = ACPIPlatform(apicIDs: [0, 2, 2], addresses: .usual, legacyDevices: [])
    }
  }
}
