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
