internal import Bytes

/// *Windows ACPI Emulated Devices Table* (Microsoft, 2009): emulated devices without the faults of
/// real ones, which Windows otherwise works around.
enum WAET {
  /// *ACPI PM timer good*: one read is enough. *RTC good* (bit 0) stays clear: it says that the
  /// clock interrupts again without a read of register C.
  private static let timerIsGood: UInt32 = 1 << 1

  static func table() -> ACPITable {
    ACPITable(.waet, revision: 1, body: timerIsGood.littleEndianBytes)
  }
}
