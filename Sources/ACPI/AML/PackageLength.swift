/// The length in front of an AML object that holds others (*PkgLength*, ACPI 6.3 §20.2.4).
///
/// It counts itself. One byte reaches 63; more bytes hold 4 bits in the first and 8 in each other
/// one, and reach 4095, 1 MiB - 1 and 256 MiB - 1.
enum PackageLength {
  /// The most that the content of one object may have: 256 MiB - 1 less the length's own four
  /// bytes.
  static let maximumContentByteCount = 0x0FFF_FFFF - 4

  /// The encoded length of an object with `contentByteCount` bytes after it, in its shortest form.
  static func encode(contentByteCount: Int) -> [UInt8] {
    precondition(
      (0...maximumContentByteCount).contains(contentByteCount),
      "AML object of \(contentByteCount) bytes")
    if contentByteCount + 1 < 0x40 { return [UInt8(contentByteCount + 1)] }
    let followingByteCount =
      contentByteCount + 2 < 0x1000 ? 1 : contentByteCount + 3 < 0x10_0000 ? 2 : 3
    let total = contentByteCount + 1 + followingByteCount
    let lead = UInt8(followingByteCount << 6 | total & 0xF)
    return [lead]
      + (0..<followingByteCount).map { UInt8(truncatingIfNeeded: total >> (4 + 8 * $0)) }
  }
}
