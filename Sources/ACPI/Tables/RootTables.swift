internal import Bytes

// Where a search for the tables begins: the RSDP points at the XSDT, and that at the others.

extension ACPITable {
  /// *Root System Description Pointer*, revision 2 (ACPI 6.3 §5.2.5.3). It has no RSDT: every
  /// 64-bit operating system takes the XSDT.
  static func rsdp() -> ACPITable {
    let byteCount: UInt32 = 36
    var bytes = Array("RSD PTR ".utf8) + [0] + ACPIHeader.oemID + [2]
    bytes += UInt32(0).littleEndianBytes + byteCount.littleEndianBytes
    bytes += UInt64(0).littleEndianBytes + [0, 0, 0, 0]
    return ACPITable(
      .rsdp, bytes: bytes,
      pointers: [ACPITablePointer(byteOffset: 24, byteCount: 8, target: .xsdt)],
      checksums: [
        // ACPI 1.0's part, then all.
        ACPIChecksum(byteOffset: 8, coveredByteCount: 20),
        ACPIChecksum(byteOffset: 32, coveredByteCount: Int(byteCount)),
      ])
  }

  /// *Extended System Description Table* (ACPI 6.3 §5.2.8): 64-bit addresses, one after the other.
  static func xsdt(_ targets: [ACPITableID]) -> ACPITable {
    ACPITable(
      .xsdt, revision: 1, body: [UInt8](repeating: 0, count: 8 * targets.count),
      pointers: targets.enumerated().map { index, target in
        ACPITablePointer(
          byteOffset: ACPIHeader.byteCount + 8 * index, byteCount: 8, target: target)
      })
  }
}
