internal import Bytes
internal import DeviceKit

/// The header with which a store of UEFI variables begins (*EFI_FIRMWARE_VOLUME_HEADER*).
///
/// Source: UEFI Platform Initialization Specification 1.7, volume 3, §3.2.1.
public enum FirmwareVolume {
  /// All of the room that the machine's memory map has for flash.
  public static let maximumByteCount = 16 << 20

  private static let typeOffset = 0x10
  /// *gEfiSystemNvDataFvGuid*, FFF12B8D-7696-4C8B-A985-2747075B4F50. Volumes of code have other
  /// types.
  private static let variablesType: [UInt8] = [
    0x8D, 0x2B, 0xF1, 0xFF, 0x96, 0x76, 0x8B, 0x4C, 0xA9, 0x85, 0x27, 0x47, 0x07, 0x5B, 0x4F, 0x50,
  ]
  private static let lengthOffset = 0x20
  private static let signatureOffset = 0x28
  private static let signature = Array("_FVH".utf8)
  private static let headerLengthOffset = 0x30
  /// *FvBlockMap*, to the end of the header.
  private static let blockMapOffset = 0x38
  /// Of EDK2's *VARIABLE_STORE_HEADER*, which comes next.
  private static let storeSizeOffset = 0x10

  /// Makes sure that a file's bytes are a store of variables, for the same firmware as a
  /// template's.
  ///
  /// - Parameters:
  ///   - path: for the message.
  ///   - template: a store of that firmware; nil if none is known.
  /// - Throws: what they are instead.
  public static func check(
    _ bytes: [UInt8], path: String, template: [UInt8]?
  ) throws(FlashStoreError) {
    if let complaint = ForeignImage.complaint(of: bytes, path: path) {
      throw .foreign(path: path, complaint: complaint)
    }
    if let template, template.count != bytes.count {
      throw .size(path: path, byteCount: bytes.count, expected: template.count)
    }
    guard isPlausible(bytes) else { throw .notVariables(path: path) }
    if let template, layout(bytes) != layout(template) { throw .layout(path: path) }
  }

  /// Whether the bytes begin with a header, of a volume of variables that is all there, and are
  /// whole blocks.
  private static func isPlausible(_ bytes: [UInt8]) -> Bool {
    guard holdsVariables(bytes), bytes.count <= maximumByteCount,
      bytes.count.isMultiple(of: FlashGeometry.blockByteCount)
    else { return false }
    let byteCount: UInt64 = bytes.loadLE(at: lengthOffset)
    return byteCount > 0 && byteCount <= UInt64(bytes.count) && headerByteCount(bytes) != nil
  }

  /// Whether the bytes begin as a volume of variables does: also an image of firmware that has its
  /// variables in front of its code.
  public static func holdsVariables(_ bytes: [UInt8]) -> Bool {
    bytes.count >= blockMapOffset
      && Array(bytes[typeOffset..<(typeOffset + variablesType.count)]) == variablesType
      && Array(bytes[signatureOffset..<(signatureOffset + signature.count)]) == signature
  }

  /// How a plausible volume is divided: firmware that works with one store works with another of
  /// the same size and layout.
  private static func layout(_ bytes: [UInt8]) -> [UInt8] {
    guard let end = headerByteCount(bytes) else { return [] }
    let sizeStart = end + storeSizeOffset
    return Array(bytes[lengthOffset..<signatureOffset]) + bytes[blockMapOffset..<end]
      + bytes[sizeStart..<(sizeStart + 4)]
  }

  /// Nil if what follows the header would not be all there.
  private static func headerByteCount(_ bytes: [UInt8]) -> Int? {
    let byteCount: UInt16 = bytes.loadLE(at: headerLengthOffset)
    let isPossible =
      Int(byteCount) >= blockMapOffset && Int(byteCount) + storeSizeOffset + 4 <= bytes.count
    return isPossible ? Int(byteCount) : nil
  }
}
