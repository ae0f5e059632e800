/// *IA-PC boot architecture flags* of the FADT (ACPI 6.3 table 5-36); those that our machines set.
struct FADTBootArchitecture: OptionSet, Sendable {
  let rawValue: UInt16

  /// *LEGACY_DEVICES*: there are devices on an LPC or ISA bus.
  static let legacyDevices = FADTBootArchitecture(rawValue: 1 << 0)
  /// *8042*: ports 0x60 and 0x64 are a keyboard controller.
  static let has8042 = FADTBootArchitecture(rawValue: 1 << 1)
  /// *VGA Not Present*: VGA's memory and ports must not be touched.
  static let vgaNotPresent = FADTBootArchitecture(rawValue: 1 << 2)
  /// *CMOS RTC Not Present*
  static let cmosClockNotPresent = FADTBootArchitecture(rawValue: 1 << 5)
}
