import Testing

@testable import ACPI

/// ACPI 6.3 table 5-33: every field at its offset, the reserved ones too.
struct FADTTests {
  private static let fields = [
    Field("Length", at: 4, 4, 276), Field("Revision", at: 8, 1, 6),
    Field("INT_MODEL", at: 44, 1, 0), Field("Preferred_PM_Profile", at: 45, 1, 0),
    Field("SCI_INT", at: 46, 2, 9), Field("SMI_CMD", at: 48, 4, 0),
    Field("ACPI_ENABLE to PSTATE_CNT", at: 52, 4, 0),
    Field("PM1a_EVT_BLK", at: 56, 4, 0x600), Field("PM1b_EVT_BLK", at: 60, 4, 0),
    Field("PM1a_CNT_BLK", at: 64, 4, 0x604), Field("PM1b_CNT_BLK", at: 68, 4, 0),
    Field("PM2_CNT_BLK", at: 72, 4, 0), Field("PM_TMR_BLK", at: 76, 4, 0x608),
    Field("GPE0_BLK", at: 80, 4, 0x620), Field("GPE1_BLK", at: 84, 4, 0),
    Field("PM1_EVT_LEN", at: 88, 1, 4), Field("PM1_CNT_LEN", at: 89, 1, 2),
    Field("PM2_CNT_LEN", at: 90, 1, 0), Field("PM_TMR_LEN", at: 91, 1, 4),
    Field("GPE0_BLK_LEN", at: 92, 1, 16), Field("GPE1_BLK_LEN", at: 93, 1, 0),
    Field("GPE1_BASE, CST_CNT", at: 94, 2, 0), Field("P_LVL2_LAT", at: 96, 2, 101),
    Field("P_LVL3_LAT", at: 98, 2, 1001), Field("FLUSH_SIZE, FLUSH_STRIDE", at: 100, 4, 0),
    Field("DUTY_OFFSET, DUTY_WIDTH", at: 104, 2, 0), Field("DAY_ALRM, MON_ALRM", at: 106, 2, 0),
    Field("CENTURY", at: 108, 1, 0x32), Field("IAPC_BOOT_ARCH", at: 109, 2, 0b111),
    Field("reserved", at: 111, 1, 0), Field("Flags", at: 112, 4, 0x5A5),
    Field("RESET_REG head", at: 116, 4, 0x0100_0801), Field("RESET_REG", at: 120, 8, 0xCF9),
    Field("RESET_VALUE", at: 128, 1, 6), Field("ARM_BOOT_ARCH", at: 129, 2, 0),
    Field("Minor Version", at: 131, 1, 3), Field("X_FIRMWARE_CTRL", at: 132, 8, 0),
    Field("X_PM1a_EVT_BLK head", at: 148, 4, 0x0200_2001),
    Field("X_PM1a_EVT_BLK", at: 152, 8, 0x600),
    Field("X_PM1b_EVT_BLK head", at: 160, 4, 0), Field("X_PM1b_EVT_BLK", at: 164, 8, 0),
    Field("X_PM1a_CNT_BLK head", at: 172, 4, 0x0200_1001),
    Field("X_PM1a_CNT_BLK", at: 176, 8, 0x604),
    Field("X_PM1b_CNT_BLK head", at: 184, 4, 0), Field("X_PM1b_CNT_BLK", at: 188, 8, 0),
    Field("X_PM2_CNT_BLK head", at: 196, 4, 0), Field("X_PM2_CNT_BLK", at: 200, 8, 0),
    Field("X_PM_TMR_BLK head", at: 208, 4, 0x0300_2001),
    Field("X_PM_TMR_BLK", at: 212, 8, 0x608),
    Field("X_GPE0_BLK head", at: 220, 4, 0x0100_8001), Field("X_GPE0_BLK", at: 224, 8, 0x620),
    Field("X_GPE1_BLK head", at: 232, 4, 0), Field("X_GPE1_BLK", at: 236, 8, 0),
    Field("SLEEP_CONTROL_REG head", at: 244, 4, 0), Field("SLEEP_CONTROL_REG", at: 248, 8, 0),
    Field("SLEEP_STATUS_REG head", at: 256, 4, 0), Field("SLEEP_STATUS_REG", at: 260, 8, 0),
    Field("Hypervisor Vendor Identity", at: 268, 8, 0),
  ]

  @Test(arguments: fields)
  func fieldIsAtItsOffset(_ field: Field) {
    let table = FADT.table(NamedPlatform.usual.platform).bytes
    #expect(field.value(in: table) == field.value)
  }

  /// With the header and the pointers, the fields above are the whole table: none is forgotten.
  @Test func theFieldsAreTheWholeTable() {
    var covered = Set(0..<36).union(36..<44).union(140..<148)
    for field in Self.fields {
      covered.formUnion(field.byteOffset..<(field.byteOffset + field.byteCount))
    }
    #expect(covered == Set(0..<276))
  }

  @Test(
    arguments: [
      ([], 0b10_0100), (.serialPort1, 0b10_0101), (.ps2Controller, 0b10_0111),
      (.realTimeClock, 0b00_0101), (.vga, 0b10_0000), (.firmwareConfiguration, 0b10_0100),
      (.all, 0b00_0011),
    ] as [(LegacyDevices, UInt64)])
  func bootArchitectureFollowsTheDevices(devices: LegacyDevices, expected: UInt64) {
    let table = FADT.table(ACPIPlatform(vcpuCount: 1, legacyDevices: devices)).bytes
    #expect(table.number(at: 109, byteCount: 2) == expected)
    #expect(table[108] == (devices.contains(.realTimeClock) ? 0x32 : 0))
  }

  @Test(arguments: [(1, false), (8, false), (9, true), (300, true)])
  func moreThanEightProcessorsNeedClusters(vcpuCount: Int, expected: Bool) {
    let table = FADT.table(ACPIPlatform(vcpuCount: vcpuCount, legacyDevices: [])).bytes
    #expect((table.number(at: 112, byteCount: 4) & 1 << 18 != 0) == expected)
  }

  @Test func registersAreWhereFirmwarePutThem() {
    let table = FADT.table(NamedPlatform.highest.platform).bytes
    for (offset, byteCount) in [(56, 4), (152, 8)] {
      #expect(table.number(at: offset, byteCount: byteCount) == 0xFF80)
    }
    for (offset, byteCount) in [(64, 4), (176, 8)] {
      #expect(table.number(at: offset, byteCount: byteCount) == 0xFF84)
    }
    for (offset, byteCount) in [(76, 4), (212, 8)] {
      #expect(table.number(at: offset, byteCount: byteCount) == 0xFF88)
    }
  }
}
