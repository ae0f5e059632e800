internal import Bytes

/// Messages of Dynamic Memory: a header of type, length and a number, then fields.
///
/// Source: Linux, drivers/hv/hv_balloon.c, `enum dm_message_type` and the structures behind it.
enum DynamicMemoryMessage {
  struct Kind: RawRepresentable, Hashable, Sendable {
    let rawValue: UInt16

    static let versionRequest = Kind(rawValue: 1)
    static let versionResponse = Kind(rawValue: 2)
    static let capabilities = Kind(rawValue: 3)
    static let capabilitiesResponse = Kind(rawValue: 4)
    static let status = Kind(rawValue: 5)
    static let balloon = Kind(rawValue: 6)
    static let balloonResponse = Kind(rawValue: 7)
    static let unballoon = Kind(rawValue: 8)
    static let unballoonResponse = Kind(rawValue: 9)
    static let hotAdd = Kind(rawValue: 10)
    static let hotAddResponse = Kind(rawValue: 11)
  }

  /// What the host answers or asks.
  static func bytes(_ kind: Kind, transaction: UInt32, _ words: [UInt64]) -> [UInt8] {
    var bytes = kind.rawValue.littleEndianBytes
    bytes += UInt16(8 + 8 * words.count).littleEndianBytes
    bytes += transaction.littleEndianBytes
    return bytes + words.littleEndianBytes
  }

  /// A message of the guest's.
  struct Received {
    static let headerByteCount = 8

    let kind: Kind
    let transaction: UInt32
    private let bytes: [UInt8]

    /// - Returns: nil if it is shorter than it says.
    init?(_ payload: [UInt8]) {
      guard payload.count >= Self.headerByteCount else { return nil }
      let byteCount = Int(payload.loadLE(at: 2, as: UInt16.self))
      guard (Self.headerByteCount...payload.count).contains(byteCount) else { return nil }
      kind = Kind(rawValue: payload.loadLE(at: 0))
      transaction = payload.loadLE(at: 4)
      bytes = Array(payload[..<byteCount])
    }

    /// The 64-bit word at a multiple of 8 behind the header; nil beyond the end.
    func word(_ index: Int) -> UInt64? {
      bytes.loadLE(at: Self.headerByteCount + 8 * index, byteCount: 8)
    }

    /// Ranges of pages behind the first word, as many as that says and as there are.
    var ranges: [Range<UInt64>] {
      guard let first = word(0) else { return [] }
      // *reserved*, then *more_pages* in bit 0 and *range_count* above.
      let count = Int(first >> 33)
      var ranges: [Range<UInt64>] = []
      while ranges.count < count, let range = word(1 + ranges.count) {
        let (start, pageCount) = (range & (1 << 40 - 1), range >> 40)
        ranges.append(start..<(start + pageCount))
      }
      return ranges
    }

    /// Whether another message of the same answer follows.
    var hasMore: Bool { (word(0) ?? 0) >> 32 & 1 != 0 }
  }

  /// A range of pages as it is sent: GPN in bits 39:0, count in 63:40.
  static func word(_ range: Range<UInt64>) -> UInt64 {
    range.lowerBound | UInt64(range.count) << 40
  }

  /// What one range can hold.
  static let maximumRangePageCount: UInt64 = 1 << 24 - 1
}

/// A version of Dynamic Memory: the minor number in the low half.
enum DynamicMemoryVersion {
  /// 2.0 (Windows 10), 1.0 (Windows 8), 0.3 (Windows 7).
  static let supported: Set<UInt32> = [0x2_0000, 0x1_0000, 0x0_0003]
}
