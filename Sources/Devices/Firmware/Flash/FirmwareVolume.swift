/// The header with which a store of UEFI variables begins (*EFI_FIRMWARE_VOLUME_HEADER*).
///
/// Source: UEFI Platform Initialization Specification 1.7, volume 3, §3.2.1.
public enum FirmwareVolume {
  /// All of the room that the machine's memory map has for flash.
  public static let maximumByteCount = 16 << 20

  private static let lengthOffset = 0x20
  private static let signatureOffset = 0x28
  private static let signature = Array("_FVH".utf8)
  private static let headerByteCount = 0x38

  /// Whether the bytes begin with a header, of a volume that is all there, and are whole blocks.
  public static func isPlausible(_ bytes: [UInt8]) -> Bool {
    guard bytes.count >= headerByteCount, bytes.count <= maximumByteCount,
      bytes.count.isMultiple(of: FlashGeometry.blockByteCount),
      Array(bytes[signatureOffset..<(signatureOffset + signature.count)]) == signature
    else { return false }
    let byteCount: UInt64 = bytes.loadLE(at: lengthOffset)
    return byteCount > 0 && byteCount <= UInt64(bytes.count)
  }
}
