import Testing

@testable import ACPI

/// What of the DSDT is checked by its bytes, so also where ACPICA is missing.
struct DSDTTests {
  /// `_PRT`, written out by hand: an address of 4 bytes, the pin, no link device, the interrupt.
  @Test func interruptRoutingOfEveryPin() {
    var entries: [UInt8] = []
    for device in UInt8(1)...31 {
      for pin in UInt8(0)...3 {
        let encodedPin: [UInt8] = pin < 2 ? [pin] : [0x0A, pin]
        let content =
          [4, 0x0C, 0xFF, 0xFF, device, 0] + encodedPin + [0, 0x0A, 16 + (device + pin) & 7]
        entries += [0x12, UInt8(content.count + 1)] + content
      }
    }
    let package = [0x12] + PackageLength.encode(contentByteCount: entries.count + 1)
    let expected = [0x08] + Array("_PRT".utf8) + package + [124] + entries
    #expect(DSDT.table(NamedPlatform.usual.platform).bytes.contains(expected))
  }

  /// Sleep type 0 in both registers.
  @Test func powerOffIsSleepType0() {
    let expected = [0x08] + Array("\\_S5_".utf8) + [0x12, 6, 4, 0, 0, 0, 0]
    #expect(DSDT.table(NamedPlatform.least.platform).bytes.contains(expected))
  }

  /// The name that Windows and Linux look for, only where it is asked for.
  @Test func vmbusIsThereWhenAskedFor() {
    let expected = [0x08] + Array("_CID".utf8) + [0x0D] + Array("VMBus".utf8) + [0]
    for named in NamedPlatform.all {
      #expect(
        DSDT.table(named.platform).bytes.contains(expected) == named.platform.hasVMBus)
    }
  }

  /// Names and UIDs up to the last one possible.
  @Test(arguments: [("C000", [0x00]), ("C00F", [0x0A, 0x0F]), ("CFFF", [0x0B, 0xFF, 0x0F])])
  func processorsAreNamedByTheirUID(name: String, uid: [UInt8]) {
    let platform = ACPIPlatform(
      vcpuCount: ACPIPlatform.maximumVCPUCount, legacyDevices: [])
    let content =
      Array(name.utf8) + [0x08] + Array("_HID".utf8) + [0x0D] + Array("ACPI0007".utf8) + [0, 0x08]
      + Array("_UID".utf8) + uid
    let expected = [0x5B, 0x82, UInt8(content.count + 1)] + content
    #expect(DSDT.table(platform).bytes.contains(expected))
  }
}
