internal import Bytes

/// The SMBIOS 3 tables of a machine: by them an operating system names it, and tells it from
/// others.
public struct SMBIOSTables: Hashable, Sendable {
  /// The 64-bit entry point (*_SM3_*), the tables' address still zero.
  public let entryPoint: [UInt8]
  /// The structures, the last one being the end of the table.
  public let structures: [UInt8]

  /// Names that firmware looks for (*QEMU's etc/...*).
  public static let entryPointFileName = "etc/smbios/smbios-anchor"
  /// The structures' name in fw_cfg.
  public static let structuresFileName = "etc/smbios/smbios-tables"

  /// Makes the tables of `platform`.
  public init(_ platform: SMBIOSPlatform) {
    let memoryArray: UInt16 = 0x1000
    var all: [SMBIOSStructure] = [
      .firmware(version: platform.version), .system(platform), .enclosure(platform.texts),
      .processor(platform),
      .memoryArray(handle: memoryArray, byteCount: platform.memoryByteCount),
      .memoryDevice(in: memoryArray, byteCount: platform.memoryByteCount),
    ]
    if let strings = SMBIOSStructure.oemStrings(platform.texts.oemStrings) { all.append(strings) }
    for (index, range) in platform.memory.enumerated() {
      all.append(.mappedAddresses(range, of: memoryArray, number: UInt16(index)))
    }
    all += [.bootStatus(), .end()]
    structures = all.flatMap(\.bytes)
    entryPoint = Self.entryPoint(structureByteCount: structures.count)
  }

  /// SMBIOS 3.7 §5.2.2.
  private static func entryPoint(structureByteCount: Int) -> [UInt8] {
    let byteCount: UInt8 = 24
    let checksumOffset = 5
    var bytes: [UInt8] = Array("_SM3_".utf8) + [0, byteCount]
    // Version 3.0 of the specification, no document revision; revision 1 of this entry point.
    bytes += [3, 0, 0, 1, 0]
    bytes += UInt32(structureByteCount).littleEndianBytes + UInt64(0).littleEndianBytes
    bytes[checksumOffset] = 0 &- bytes.reduce(0, &+)
    return bytes
  }
}
