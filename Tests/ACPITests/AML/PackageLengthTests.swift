import Testing

@testable import ACPI

/// ACPI 6.3 §20.2.4: the length counts itself, and grows by a byte at 64, 4096 and 1 MiB.
struct PackageLengthTests {
  @Test(
    arguments: [
      (0, [0x01]), (1, [0x02]), (61, [0x3E]), (62, [0x3F]),
      (63, [0x41, 0x04]), (64, [0x42, 0x04]), (0xFFC, [0x4E, 0xFF]), (0xFFD, [0x4F, 0xFF]),
      (0xFFE, [0x81, 0x00, 0x01]), (0xFFF, [0x82, 0x00, 0x01]),
      (0xF_FFFB, [0x8E, 0xFF, 0xFF]), (0xF_FFFC, [0x8F, 0xFF, 0xFF]),
      (0xF_FFFD, [0xC1, 0x00, 0x00, 0x01]), (0xF_FFFE, [0xC2, 0x00, 0x00, 0x01]),
      (PackageLength.maximumContentByteCount, [0xCF, 0xFF, 0xFF, 0xFF]),
    ] as [(Int, [UInt8])])
  func bordersAreEncodedInTheShortestForm(contentByteCount: Int, expected: [UInt8]) {
    #expect(PackageLength.encode(contentByteCount: contentByteCount) == expected)
  }

  /// Decoded as the specification says, the length is that of itself and the content.
  @Test(arguments: [0...0x1100, 0xF_FF00...0x10_0100])
  func decodingIsTheInverse(contentByteCounts: ClosedRange<Int>) {
    for count in contentByteCounts {
      let bytes = PackageLength.encode(contentByteCount: count)
      #expect(decode(bytes) == count + bytes.count)
    }
  }

  private func decode(_ bytes: [UInt8]) -> Int {
    let followingByteCount = Int(bytes[0] >> 6)
    guard followingByteCount > 0, bytes.count == followingByteCount + 1 else {
      return bytes.count == 1 ? Int(bytes[0]) : -1
    }
    return bytes.dropFirst().enumerated().reduce(Int(bytes[0] & 0x0F)) { sum, byte in
      sum | Int(byte.element) << (4 + 8 * byte.offset)
    }
  }

  @Test func tooMuchContentTraps() async {
    await #expect(processExitsWith: .failure) {
      _ = PackageLength.encode(contentByteCount: PackageLength.maximumContentByteCount + 1)
    }
  }
}
