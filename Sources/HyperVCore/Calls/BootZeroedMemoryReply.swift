/// The output of *HvExtCallGetBootZeroedMemory* (0x8002).
///
/// | byte offset  | field |
/// |--------------|-------|
/// | 0            | range count, u64 |
/// | 8 + 16 n     | start GPN of range n, u64 |
/// | 16 + 16 n    | 4 KiB pages in range n, u64 |
///
/// There is room for 255 ranges, in 0xFF8 bytes. A thread-safe value.
///
/// Source: TLFS, *HvExtCallGetBootZeroedMemory* (web edition), not the PDF 6.0b §9.4.7, whose
/// output is a single range in 16 bytes.
public struct BootZeroedMemoryReply: Hashable, Sendable {
  /// Bytes of the encoded reply: the count and all 255 ranges, used or not.
  public static let byteCount = 0xFF8

  /// The most ranges that a reply holds.
  public static let maximumRangeCount = 255

  /// The ranges, at most ``maximumRangeCount``. The TLFS asks for the best ones first.
  public let ranges: [BootZeroedRange]

  /// Takes the first 255 ranges, in the order given, and drops the others.
  ///
  /// The ranges are not judged: ``init(zeroedRanges:excludingPage:)`` does that.
  public init(_ ranges: some Sequence<BootZeroedRange>) {
    self.ranges = Array(ranges.prefix(Self.maximumRangeCount))
  }

  /// Reads an encoded reply, as a guest would.
  ///
  /// Takes exactly ``byteCount`` bytes. What lies behind the last counted range is not looked at,
  /// and ranges are kept as they are, even if they make no sense.
  public init(decoding bytes: RawSpan) throws(BootZeroedMemoryReplyError) {
    guard bytes.byteCount == Self.byteCount, let count = bytes.loadLE(at: 0, as: UInt64.self)
    else {
      throw .byteCount(bytes.byteCount)
    }
    guard count <= UInt64(Self.maximumRangeCount) else { throw .rangeCount(count) }
    var ranges: [BootZeroedRange] = []
    ranges.reserveCapacity(Int(count))
    for index in 0..<Int(count) {
      let offset = Self.byteOffset(ofRange: index)
      guard let startPage = bytes.loadLE(at: offset, as: UInt64.self),
        let pageCount = bytes.loadLE(at: offset + 8, as: UInt64.self)
      else { throw .byteCount(bytes.byteCount) }
      ranges.append(BootZeroedRange(startPage: startPage, pageCount: pageCount))
    }
    self.ranges = ranges
  }

  /// Stores the reply into ``byteCount`` bytes that are zero; unused ranges stay so.
  public func encode(into bytes: inout MutableRawSpan) {
    bytes.storeLE(UInt64(ranges.count), at: 0)
    for index in ranges.indices {
      let offset = Self.byteOffset(ofRange: index)
      bytes.storeLE(ranges[index].startPage, at: offset)
      bytes.storeLE(ranges[index].pageCount, at: offset + 8)
    }
  }

  /// The reply as ``byteCount`` little-endian bytes.
  public func encode() -> [UInt8] {
    [UInt8](zeroCount: Self.byteCount) { encode(into: &$0) }
  }

  private static func byteOffset(ofRange index: Int) -> Int { 8 + 16 * index }
}

extension BootZeroedMemoryReply {
  /// The reply a guest may safely get from a provider's ranges.
  ///
  /// A guest takes each page in the reply as zero without looking, so a provider's slip must not
  /// reach it: the page (GPN) that holds the reply itself is cut out, and ranges that are empty or
  /// leave the GPA space are dropped rather than repaired. The rest goes largest first, ranges of
  /// one size in the provider's order, and is cut at 255.
  public init(zeroedRanges: [BootZeroedRange], excludingPage replyPage: UInt64) {
    let safe = zeroedRanges.flatMap { $0.excluding(page: replyPage) }
    // The position breaks ties: the standard sort does not promise to be stable.
    let ordered = safe.enumerated().sorted { left, right in
      left.element.pageCount != right.element.pageCount
        ? left.element.pageCount > right.element.pageCount
        : left.offset < right.offset
    }
    self.init(ordered.lazy.map(\.element))
  }
}

/// Why bytes are not a reply to 0x8002.
public enum BootZeroedMemoryReplyError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The reply does not have ``BootZeroedMemoryReply/byteCount`` bytes, but this many.
  case byteCount(Int)
  /// The reply claims more ranges than fit.
  case rangeCount(UInt64)

  /// What is wrong, and what a reply looks like.
  public var description: String {
    switch self {
    case .byteCount(let count):
      "cannot decode a boot-zeroed memory reply of \(count) bytes; it has exactly 4088"
    case .rangeCount(let count):
      "cannot decode a boot-zeroed memory reply with \(count) ranges; it has at most 255"
    }
  }
}
