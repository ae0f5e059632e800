internal import Bytes

/// *Firmware ACPI Control Structure* (ACPI 6.3 §5.2.10): memory that firmware and operating system
/// share. All but its head is zero, for there is no S3 or S4 to wake from and no SMM to lock
/// against.
enum FACS {
  static func table() -> ACPITable {
    let byteCount: UInt32 = 64
    let version: UInt8 = 2
    var bytes = Array("FACS".utf8) + byteCount.littleEndianBytes
    bytes += [UInt8](repeating: 0, count: 24) + [version]
    bytes += [UInt8](repeating: 0, count: Int(byteCount) - bytes.count)
    return ACPITable(.facs, bytes: bytes)
  }
}

/// *Memory mapped configuration* (PCI Firmware Specification 3.0 §4.1.2): where the ECAM is.
enum MCFG {
  static func table(_ space: ACPIAddresses.ConfigurationSpace) -> ACPITable {
    let segment: UInt16 = 0
    let firstBus: UInt8 = 0
    var body = UInt64(0).littleEndianBytes
    body += space.start.littleEndianBytes + segment.littleEndianBytes
    body += [firstBus, space.lastBus, 0, 0, 0, 0]
    return ACPITable(.mcfg, revision: 1, body: body)
  }
}

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
