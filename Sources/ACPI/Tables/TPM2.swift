internal import Bytes

/// *TPM2* (TCG ACPI Specification 1.3 §8): where a TPM 2.0 is, and the area for firmware's log.
enum TPM2 {
  /// With the log's area.
  private static let revision: UInt8 = 4
  /// *Platform class*: a client.
  private static let client: UInt16 = 0
  /// *Start method*: a command response buffer.
  private static let commandResponseBuffer: UInt32 = 7
  /// The control area begins with *CRB_CTRL_REQ*.
  private static let controlAreaOffset: UInt64 = 0x40

  static func table(_ tpm: ACPIPlatform.TPM) -> ACPITable {
    var body = client.littleEndianBytes + [0, 0]
    body += (UInt64(ACPIFixedHardware.tpmAddress) + controlAreaOffset).littleEndianBytes
    body += commandResponseBuffer.littleEndianBytes
    // This start method has no parameters.
    body += [UInt8](repeating: 0, count: 12)
    body += tpm.eventLogByteCount.littleEndianBytes
    let log = ACPIMemoryPointer(
      byteOffset: ACPIHeader.byteCount + body.count, file: TableLoader.eventLogFileName,
      fileByteCount: Int(tpm.eventLogByteCount))
    body += UInt64(0).littleEndianBytes
    return ACPITable(
      .tpm2, revision: revision, body: body,
      memoryPointers: tpm.eventLogByteCount == 0 ? [] : [log])
  }
}
