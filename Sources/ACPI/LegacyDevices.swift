/// Devices at fixed ports that a machine may have or not.
///
/// An operating system looks for none of them that the tables do not name, and waits for some that
/// they name and the machine has not.
public struct LegacyDevices: OptionSet, Hashable, Sendable {
  /// One bit per device.
  public let rawValue: UInt8

  /// Any bits; unknown ones name no device.
  public init(rawValue: UInt8) {
    self.rawValue = rawValue
  }

  /// COM1, a 16550 at 0x3F8 with ISA interrupt 4.
  public static let serialPort1 = LegacyDevices(rawValue: 1 << 0)
  /// An i8042 at 0x60 and 0x64 with a PS/2 keyboard (interrupt 1) and mouse (interrupt 12).
  public static let ps2Controller = LegacyDevices(rawValue: 1 << 1)
  /// The CMOS clock at 0x70 with interrupt 8 and the century in register 0x32.
  public static let realTimeClock = LegacyDevices(rawValue: 1 << 2)
  /// fw_cfg at 0x510–0x51B.
  public static let firmwareConfiguration = LegacyDevices(rawValue: 1 << 3)
  /// A display with VGA's memory at 0xA0000–0xBFFFF.
  public static let vga = LegacyDevices(rawValue: 1 << 4)
}
