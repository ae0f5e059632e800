internal import Bytes

/// The header of every table but the RSDP and the FACS (*DESCRIPTION_HEADER*, ACPI 6.3 §5.2.6), and
/// the names that say who made the tables.
enum ACPIHeader {
  static let byteCount = 36
  static let checksumOffset = 9

  /// *OEMID*: six characters.
  static let oemID = Array("VMMRUN".utf8)
  /// *OEM Table ID*: eight characters.
  static let oemTableID = Array("VMMRUN  ".utf8)
  static let oemRevision: UInt32 = 1
  /// *Creator ID*: four characters.
  static let creatorID = Array("VMMR".utf8)
  static let creatorRevision: UInt32 = 1

  /// A header whose checksum is still zero.
  static func bytes(_ id: ACPITableID, revision: UInt8, bodyByteCount: Int) -> [UInt8] {
    Array(id.rawValue.utf8)
      + UInt32(byteCount + bodyByteCount).littleEndianBytes
      + [revision, 0]
      + oemID + oemTableID + oemRevision.littleEndianBytes
      + creatorID + creatorRevision.littleEndianBytes
  }
}
